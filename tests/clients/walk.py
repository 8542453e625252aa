"""Signs up, logs in, uploads, waits, reads and is refused, with a generated client alone: walk.py URL"""

import sys
import time
from datetime import datetime
from http import HTTPStatus

from tenantry_client import AuthenticatedClient, Client
from tenantry_client.api.auth import auth_log_in, auth_me
from tenantry_client.api.batches import batches_show
from tenantry_client.api.chunks import chunks_list
from tenantry_client.api.documents import (
    documents_delete,
    documents_list,
    documents_show,
    documents_upload_files,
    documents_upload_text,
)
from tenantry_client.api.documents_of_the_callers_tenant import own_documents_list
from tenantry_client.api.jobs import jobs_list, jobs_show
from tenantry_client.api.rag_settings import rag_settings_change, rag_settings_show
from tenantry_client.api.schedules import schedules_put
from tenantry_client.api.sign_up import sign_up_sign_up
from tenantry_client.api.tenants import tenants_show
from tenantry_client.models import (
    AcceptedDocuments,
    DocumentsUploadFilesBody,
    DocumentStatus,
    JobState,
    LogIn,
    NewSchedule,
    Problem,
    ProblemCode,
    RagSettingsPatch,
    Role,
    SignUp,
    TenantStatus,
    TextDocument,
    TokenType,
)
from tenantry_client.types import UNSET, File

TENANT = "walk-py"
PASSWORD = "correct horse"
TEXT = "Ada Lovelace met Charles Babbage in London."


def until(what, ask, done):
    """Asks until the answer is the one that is waited for."""
    end = time.monotonic() + 60
    while True:
        answer = ask()
        if done(answer):
            return answer
        assert time.monotonic() < end, f"{what}: {answer}"
        time.sleep(0.1)


def refused(answer, status, code):
    """The answer is a problem with this code."""
    problem = answer.parsed
    assert isinstance(problem, Problem), answer
    assert (answer.status_code, problem.status, problem.code) == (status, status, code), problem
    assert problem.detail and problem.title and problem.type_.endswith(str(code)), problem
    return problem


def credentials(url):
    """Signs up and logs in. Returns a client with the token."""
    anyone = Client(url)
    wanted = SignUp(tenant_id=TENANT, name="Walk", username=TENANT, password=PASSWORD)
    made = sign_up_sign_up.sync_detailed(client=anyone, body=wanted)
    assert made.status_code == HTTPStatus.ACCEPTED, made
    assert (made.parsed.tenant.id, made.parsed.username) == (TENANT, TENANT), made
    refused(sign_up_sign_up.sync_detailed(client=anyone, body=wanted), 409, ProblemCode.TENANT_EXISTS)
    wrong = auth_log_in.sync_detailed(client=anyone, body=LogIn(username=TENANT, password="wrong horse"))
    refused(wrong, 401, ProblemCode.LOGIN_FAILED)
    session = auth_log_in.sync(client=anyone, body=LogIn(username=TENANT, password=PASSWORD))
    assert (session.token_type, session.role) == (TokenType.BEARER, Role.ADMIN), session
    return AuthenticatedClient(url, token=session.access_token)


def upload(api):
    """Uploads a text and two files. Returns what was accepted."""
    text = TextDocument(name="notes.md", text=TEXT)
    one = documents_upload_text.sync_detailed(TENANT, "default", client=api, body=text, idempotency_key="walk")
    assert one.status_code == HTTPStatus.ACCEPTED and isinstance(one.parsed, AcceptedDocuments), one
    again = documents_upload_text.sync_detailed(TENANT, "default", client=api, body=text, idempotency_key="walk")
    assert again.parsed == one.parsed and again.headers["idempotent-replayed"] == "true", again
    files = [File(payload=f"{name} met Grace Hopper.".encode(), file_name=f"{name}.txt") for name in ("Ann", "Bob")]
    two = documents_upload_files.sync(TENANT, "default", client=api, body=DocumentsUploadFilesBody(file=files))
    assert [document.name for document in two.documents] == ["Ann.txt", "Bob.txt"], two
    return one.parsed, two


def read(api, one, two):
    """Waits until the documents are processed, and reads everything back."""
    document_id = one.documents[0].document_id
    document = until(
        "the document",
        lambda: documents_show.sync(TENANT, "default", document_id, client=api),
        lambda document: document.status not in (DocumentStatus.PENDING, DocumentStatus.PROCESSING),
    )
    assert (document.status, document.error, document.batch_id) == (DocumentStatus.PROCESSED, None, one.batch_id)
    assert isinstance(document.created_at, datetime) and document.size_bytes == len(TEXT), document
    chunks = chunks_list.sync(TENANT, "default", document_id, client=api)
    assert "".join(chunk.text for chunk in chunks.chunks) == TEXT and chunks.next_ is None, chunks
    job = until(
        "the job",
        lambda: jobs_show.sync(TENANT, one.job_id, client=api),
        lambda job: job.state == JobState.COMPLETED,
    )
    assert (job.type_, job.kb_id, job.error) == ("document.ingest", "default", None), job
    batch = until(
        "the batch",
        lambda: batches_show.sync(TENANT, two.batch_id, client=api),
        lambda batch: batch.counts.processed == 2,
    )
    assert batch.kb_ids == ["default"], batch
    names, after = [], UNSET
    while after is not None:
        page = documents_list.sync(TENANT, "default", client=api, limit=2, status=DocumentStatus.PROCESSED, after=after)
        names += [document.name for document in page.documents]
        after = page.next_
    assert sorted(names) == ["Ann.txt", "Bob.txt", "notes.md"], names
    assert len(own_documents_list.sync("default", client=api, x_tenant_id=TENANT).documents) == 3
    jobs = jobs_list.sync(TENANT, client=api)
    assert jobs.counts.available == 0 and jobs.next_ is None, jobs
    return document_id


def change(api, document_id):
    """Changes what others may change too, and is refused."""
    shown = rag_settings_show.sync_detailed(TENANT, client=api)
    assert shown.parsed.models.llm is None and shown.parsed.top_k == 40, shown
    wanted = RagSettingsPatch(top_k=12)
    changed = rag_settings_change.sync(TENANT, client=api, body=wanted, if_match=shown.headers["etag"])
    assert (changed.top_k, changed.chunk_size_tokens) == (12, shown.parsed.chunk_size_tokens), changed
    late = rag_settings_change.sync_detailed(TENANT, client=api, body=wanted, if_match=shown.headers["etag"])
    refused(late, 412, ProblemCode.PRECONDITION_FAILED)
    nameless = documents_upload_text.sync_detailed(
        TENANT, "default", client=api, body=TextDocument(name="../notes.md", text=TEXT)
    )
    refused(nameless, 400, ProblemCode.INVALID_DOCUMENT_NAME)
    schedule = NewSchedule(cron="never", time_zone="Europe/Berlin", type_="kb.reindex")
    bad = schedules_put.sync_detailed(TENANT, "default", "nightly", client=api, body=schedule)
    assert refused(bad, 400, ProblemCode.INVALID_CRON).field == "cron"
    gone = documents_delete.sync_detailed(TENANT, "default", document_id, client=api)
    assert gone.status_code == HTTPStatus.ACCEPTED, gone
    until(
        "the document to be gone",
        lambda: documents_show.sync_detailed(TENANT, "default", document_id, client=api),
        lambda answer: answer.status_code == HTTPStatus.NOT_FOUND,
    )


def main(url):
    api = credentials(url)
    until(
        "the tenant",
        lambda: tenants_show.sync(TENANT, client=api),
        lambda tenant: tenant.status == TenantStatus.ACTIVE,
    )
    assert auth_me.sync(client=api).tenant_id == TENANT
    one, two = upload(api)
    document_id = read(api, one, two)
    change(api, document_id)
    refused(auth_me.sync_detailed(client=AuthenticatedClient(url, token="none")), 401, ProblemCode.CREDENTIALS_INVALID)


main(sys.argv[1])
