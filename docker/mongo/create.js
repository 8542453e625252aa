// Run once by the image's entry point, on an empty volume: a user that reaches this one database only.
db.getSiblingDB("tenantry").createUser({
    user: "tenantry",
    pwd: process.env.MONGO_APP_PASSWORD,
    roles: [{ role: "readWrite", db: "tenantry" }],
});
