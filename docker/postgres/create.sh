#!/bin/bash
# Run once by the image's entry point, on an empty volume.
set -euo pipefail
psql --username "$POSTGRES_USER" --dbname postgres --set ON_ERROR_STOP=1 \
    --set owner_password="$POSTGRES_OWNER_PASSWORD" --set app_password="$POSTGRES_APP_PASSWORD" \
    --file /tenantry/roles.sql
