// Signs up, logs in, uploads, waits, reads and is refused, with a generated client alone: node walk.js URL
import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { components, paths } from "./tenantry";

type Problem = components["schemas"]["Problem"];
type Api = ReturnType<typeof createClient<paths>>;

const tenant = "walk-ts";
const password = "correct horse";
const text = "Ada Lovelace met Charles Babbage in London.";
const kb = { tenant, kb: "default" };
const baseUrl = process.argv[2]!;

/** Asks until the answer is the one that is waited for. */
async function until<T>(what: string, ask: () => Promise<T>, done: (answer: T) => boolean): Promise<T> {
  const end = performance.now() + 60_000;
  for (;;) {
    const answer = await ask();
    if (done(answer)) return answer;
    assert(performance.now() < end, `${what}: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
}

/** What was answered, which is no problem. */
function good<T>(answer: { data?: T; error?: Problem; response: Response }): T {
  assert(answer.data !== undefined, JSON.stringify(answer.error));
  return answer.data;
}

/** The problem that was answered. */
function refused(answer: { error?: Problem; response: Response }, status: number, code: Problem["code"]): Problem {
  assert(answer.error, `${answer.response.status}`);
  assert.deepEqual([answer.response.status, answer.error.status, answer.error.code], [status, status, code]);
  assert(answer.error.detail && answer.error.title);
  return answer.error;
}

/** Signs up and logs in. Returns a client with the token. */
async function credentials(): Promise<Api> {
  const anyone = createClient<paths>({ baseUrl });
  const body = { tenant_id: tenant, name: "Walk", username: tenant, password };
  const made = await anyone.POST("/api/v1/signup", { body });
  assert.equal(made.response.status, 202);
  assert.equal(good(made).tenant.id, tenant);
  refused(await anyone.POST("/api/v1/signup", { body }), 409, "tenant_exists");
  const wrong = await anyone.POST("/api/v1/auth/login", { body: { username: tenant, password: "wrong horse" } });
  refused(wrong, 401, "login_failed");
  const session = good(await anyone.POST("/api/v1/auth/login", { body: { username: tenant, password } }));
  const [kind, role]: ["Bearer", components["schemas"]["Role"] | null] = [session.token_type, session.role];
  assert.deepEqual([kind, role], ["Bearer", "ADMIN"]);
  return createClient<paths>({ baseUrl, headers: { Authorization: `Bearer ${session.access_token}` } });
}

/** Uploads a text and two files. Returns what was accepted. */
async function upload(api: Api) {
  const one = await api.POST("/api/v1/tenants/{tenant}/kbs/{kb}/documents/text", {
    params: { path: kb, header: { "Idempotency-Key": "walk" } },
    body: { name: "notes.md", text },
  });
  assert.equal(one.response.status, 202);
  const files = new FormData();
  for (const name of ["Ann", "Bob"]) files.append("file", new Blob([`${name} met Grace Hopper.`]), `${name}.txt`);
  const two = await api.POST("/api/v1/tenants/{tenant}/kbs/{kb}/documents", {
    params: { path: kb },
    body: { file: [] },
    bodySerializer: () => files,
  });
  assert.deepEqual(good(two).documents.map((document) => document.name), ["Ann.txt", "Bob.txt"]);
  return { one: good(one), two: good(two) };
}

/** Waits until the documents are processed, and reads everything back. */
async function read(api: Api, { one, two }: Awaited<ReturnType<typeof upload>>): Promise<string> {
  const path = { ...kb, document: one.documents[0]!.document_id };
  const show = () => api.GET("/api/v1/tenants/{tenant}/kbs/{kb}/documents/{document}", { params: { path } });
  const document = await until(
    "the document",
    async () => good(await show()),
    ({ status }) => status !== "pending" && status !== "processing",
  );
  assert.deepEqual([document.status, document.error, document.batch_id], ["processed", null, one.batch_id]);
  assert.equal(document.size_bytes, text.length);
  const chunks = good(
    await api.GET("/api/v1/tenants/{tenant}/kbs/{kb}/documents/{document}/chunks", { params: { path } }),
  );
  assert.equal(chunks.chunks.map((chunk) => chunk.text).join(""), text);
  const job = await until(
    "the job",
    async () => good(await api.GET("/api/v1/tenants/{tenant}/jobs/{job}", { params: { path: { tenant, job: one.job_id } } })),
    ({ state }) => state === "completed",
  );
  assert.deepEqual([job.type, job.kb_id, job.error], ["document.ingest", "default", null]);
  const batch = { tenant, batch: two.batch_id };
  await until(
    "the batch",
    async () => good(await api.GET("/api/v1/tenants/{tenant}/batches/{batch}", { params: { path: batch } })),
    ({ counts }) => counts.processed === 2,
  );
  const names: string[] = [];
  for (let after: string | null = ""; after !== null; ) {
    const query: { limit: number; status: "processed"; after?: string } = { limit: 2, status: "processed" };
    if (after) query.after = after;
    const page: components["schemas"]["DocumentPage"] = good(
      await api.GET("/api/v1/tenants/{tenant}/kbs/{kb}/documents", { params: { path: kb, query } }),
    );
    names.push(...page.documents.map((document) => document.name));
    // Always there, if only as null: what is always answered is required.
    after = page.next;
  }
  assert.deepEqual(names.sort(), ["Ann.txt", "Bob.txt", "notes.md"]);
  return path.document;
}

/** Changes what others may change too, and is refused. */
async function change(api: Api, document: string): Promise<void> {
  const params = { path: { tenant } };
  const shown = await api.GET("/api/v1/tenants/{tenant}/settings", { params });
  assert.deepEqual([good(shown).models.llm, good(shown).top_k], [null, 40]);
  const header = { "If-Match": shown.response.headers.get("etag")! };
  const put = () =>
    api.PATCH("/api/v1/tenants/{tenant}/settings", { params: { ...params, header }, body: { top_k: 12 } });
  assert.equal(good(await put()).top_k, 12);
  refused(await put(), 412, "precondition_failed");
  const nameless = await api.POST("/api/v1/tenants/{tenant}/kbs/{kb}/documents/text", {
    params: { path: kb },
    body: { name: "../notes.md", text },
  });
  refused(nameless, 400, "invalid_document_name");
  const schedule = await api.PUT("/api/v1/tenants/{tenant}/kbs/{kb}/schedules/{schedule}", {
    params: { path: { ...kb, schedule: "nightly" } },
    body: { cron: "never", time_zone: "Europe/Berlin", type: "kb.reindex" },
  });
  assert.equal(refused(schedule, 400, "invalid_cron").field, "cron");
  const path = { ...kb, document };
  const gone = await api.DELETE("/api/v1/tenants/{tenant}/kbs/{kb}/documents/{document}", { params: { path } });
  assert.equal(gone.response.status, 202);
  await until(
    "the document to be gone",
    () => api.GET("/api/v1/tenants/{tenant}/kbs/{kb}/documents/{document}", { params: { path } }),
    (answer) => answer.response.status === 404,
  );
}

const api = await credentials();
await until(
  "the tenant",
  async () => good(await api.GET("/api/v1/tenants/{tenant}", { params: { path: { tenant } } })),
  ({ status }) => status === "active",
);
assert.equal(good(await api.GET("/api/v1/auth/me")).tenant_id, tenant);
await change(api, await read(api, await upload(api)));
const stranger = createClient<paths>({ baseUrl, headers: { Authorization: "Bearer none" } });
refused(await stranger.GET("/api/v1/auth/me"), 401, "credentials_invalid");
