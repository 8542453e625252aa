//! Following what happens: streams that resume, end with their credentials, and cost no one else anything.

use std::time::{Duration, Instant};

use api_thin::{ConnectionLimits, RequestLimits};
use fair_queue::testing::RedisServer;
use jobs::JobId;
use jobs::clock::Clock as _;
use jobs::tenant::{KbId, TenantContext};
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use stores::TenantStores;
use stores::model::{Event, EventKind};
use tests::api::{Api, ApiOptions, ApiTenant, problem, send};
use tests::events::EventStream;
use tests::wait::wait_for;

/// An API on a Redis of its own, where no other test has tenants of the same names.
async fn api(limits: RequestLimits) -> (Api, RedisServer) {
    let redis = RedisServer::start(&[]).unwrap();
    let connections = ConnectionLimits { per_address: 5_000, ..ConnectionLimits::default() };
    let redis_url = Some(redis.url());
    let options = ApiOptions { limits, connections, redis_url, ..ApiOptions::default() };
    (Api::with(options).await, redis)
}

/// Tells of a job as a worker does.
fn tell(api: &Api, stores: &TenantStores, job: JobId, done: u64) {
    stores.live().tell(Event {
        kb_id: Some(KbId::first()),
        job_id: Some(job),
        done: Some(done),
        ..Event::new(EventKind::Progress, api.clock.now())
    });
}

fn events(tenant: &ApiTenant, path: &str) -> RequestBuilder {
    tenant.request(Method::GET, &format!("{path}/events"))
}

#[tokio::test]
async fn a_stream_begins_with_what_is_and_goes_on_with_what_happens() {
    let (api, _redis) = api(RequestLimits::default()).await;
    let (acme, twin) = (api.tenant("acme").await, api.tenant("acme-2").await);
    let upload = acme.upload_text("a.md", "text").await;
    twin.upload_text("a.md", "text").await;
    let (job, batch) = (upload.text("/job_id"), upload.text("/batch_id"));
    let document = upload.text("/documents/0/document_id");
    let paths =
        [format!("/jobs/{job}"), format!("/kbs/default/documents/{document}"), format!("/batches/{batch}")];
    let mut streams = Vec::new();
    for path in &paths {
        let mut stream = EventStream::ready(events(&acme, path)).await;
        let snapshot = stream.next().await.unwrap();
        assert_eq!(snapshot.name, "snapshot");
        assert_eq!(snapshot.data["id"], acme.get(path).await.body()["id"], "{path}");
        streams.push(stream);
    }
    let mut all = EventStream::ready(events(&acme, "")).await;
    let mut of_kb = EventStream::ready(events(&acme, "/kbs/default")).await;
    let mut twins = EventStream::ready(events(&twin, "")).await;
    let mut twins_job = EventStream::ready(events(&twin, "/kbs/default")).await;

    assert_eq!(send(acme.request(Method::DELETE, &format!("/jobs/{job}"))).await.status, 202);
    let [of_job, of_document, of_batch] = &mut streams[..] else { unreachable!("three were opened") };
    let ended = of_job.until("the job ends", |event| event.data["state"] == "cancelled").await;
    assert_eq!((ended.name.as_str(), &ended.data["job_id"]), ("job", &json!(job)));
    for stream in [of_document, &mut all, &mut of_kb] {
        let failed = stream.until("it fails", |event| event.data["status"] == "failed").await;
        assert_eq!((failed.name.as_str(), &failed.data["batch_id"]), ("document", &json!(batch)));
        assert_eq!(failed.data["error"]["code"], "cancelled");
    }
    let whole = of_batch.until("the batch is done", |event| event.data["state"] == "done").await;
    assert_eq!((whole.name.as_str(), &whole.data["counts"]["failed"]), ("snapshot", &json!(1)));

    // The other tenant's listeners hear of their own job only.
    let theirs = JobId::generate(api.clock.now());
    tell(&api, &twin.stores, theirs, 7);
    for stream in [&mut twins, &mut twins_job] {
        assert_eq!(stream.next().await.unwrap().data["job_id"], json!(theirs));
    }
    let nowhere = format!("/batches/{}", job.replace(&job[24..], "000000000000"));
    problem(&send(events(&acme, &nowhere)).await, 404, "not_found");
}

#[tokio::test]
async fn those_who_cannot_follow_ask_what_happened_since() {
    let (api, _redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let first = acme.get("/events").await.body();
    assert_eq!((&first["events"], &first["reset"]), (&json!([]), &json!(false)));
    let job = JobId::generate(api.clock.now());
    for done in 0..3 {
        tell(&api, &acme.stores, job, done);
    }
    let after = first["last_id"].as_str().unwrap().to_owned();
    let page = wait_for("three events", async || {
        let page = acme.get(&format!("/events?after={after}")).await.body();
        if page["events"].as_array().is_some_and(|events| events.len() == 3) { Ok(page) } else { Err(page) }
    })
    .await;
    let steps: Vec<_> = (0..3).map(|at| page["events"][at]["done"].as_u64()).collect();
    assert_eq!(steps, [Some(0), Some(1), Some(2)]);
    let second = page["events"][1]["id"].as_str().unwrap();
    let rest = acme.get(&format!("/events?after={second}")).await.body();
    assert_eq!((rest["events"].as_array().unwrap().len(), &rest["reset"]), (1, &json!(false)));
    let gone = acme.get("/events?after=1-1").await.body();
    assert_eq!((&gone["events"], &gone["reset"]), (&json!([]), &json!(true)));
    problem(&acme.get("/events?after=yesterday").await, 400, "invalid_query");
}

/// A browser that connects a hundred times gets every event once and in order, whatever is told in between.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hundred_reconnects_lose_nothing() {
    const CONNECTIONS: u64 = 100;
    const EACH: u64 = 5;
    let (api, _redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let job = JobId::generate(api.clock.now());
    let mut last = EventStream::ready(events(&acme, "")).await.last_id;
    let mut next = 0;
    for connection in 0..CONNECTIONS {
        for done in connection * EACH..(connection + 1) * EACH {
            tell(&api, &acme.stores, job, done);
        }
        let request = events(&acme, "").header("last-event-id", last.clone().unwrap());
        let mut stream = EventStream::ready(request).await;
        // Sometimes one leaves before it has seen everything.
        for _ in 0..EACH - connection % 2 {
            if next == (connection + 1) * EACH {
                break;
            }
            let event = stream.next().await.unwrap();
            assert_eq!((event.name.as_str(), event.data["done"].as_u64()), ("progress", Some(next)));
            next += 1;
        }
        last = stream.last_id;
    }
    let mut stream = EventStream::ready(events(&acme, "").header("last-event-id", last.unwrap())).await;
    while next < CONNECTIONS * EACH {
        assert_eq!(stream.next().await.unwrap().data["done"].as_u64(), Some(next));
        next += 1;
    }
}

#[tokio::test]
async fn what_is_no_longer_kept_is_said_to_be_missing() {
    let (api, redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    let path = format!("/jobs/{job}");
    let last = EventStream::ready(events(&acme, &path)).await.last_id.unwrap();
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let gone: i64 = redis::cmd("DEL").arg("t:acme:events").query_async(&mut connection).await.unwrap();
    assert_eq!(gone, 1);
    for seen in [last.as_str(), "nonsense"] {
        let mut stream = EventStream::ready(events(&acme, &path).header("last-event-id", seen)).await;
        assert_eq!(stream.next().await.unwrap().name, "reset", "{seen}");
        let snapshot = stream.next().await.unwrap();
        assert_eq!((snapshot.name.as_str(), &snapshot.data["id"]), ("snapshot", &json!(job)));
    }
}

#[tokio::test]
async fn a_stream_ends_with_its_credentials() {
    let (mut api, _redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let made = acme.post("/api-keys", &json!({ "name": "browser", "kb_id": "default" })).await;
    let path = "/api/v1/tenants/acme/events";
    let of_key = api.request(Method::GET, path).bearer_auth(made.text("/api_key"));
    let mut of_key = EventStream::ready(of_key).await;
    let mut other = EventStream::ready(events(&acme, "")).await;
    let mut of_kb = EventStream::ready(events(&acme, "/kbs/default")).await;
    let started = Instant::now();
    let revoke = acme.request(Method::DELETE, &format!("/api-keys/{}", made.text("/id")));
    assert!((200..300).contains(&send(revoke).await.status));
    let last = of_key.next().await.unwrap();
    assert_eq!((last.name.as_str(), &last.data["code"]), ("end", &json!("credentials_invalid")));
    assert_eq!(of_key.next().await, None);
    assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());

    // Others go on.
    tell(&api, &acme.stores, JobId::generate(api.clock.now()), 1);
    assert_eq!(other.next().await.unwrap().name, "progress");
    assert_eq!(of_kb.next().await.unwrap().name, "progress");
    // A knowledge base that is closed, and a tenant that is suspended.
    assert_eq!(send(acme.request(Method::DELETE, "/kbs/default")).await.status, 202);
    let last = of_kb.until("it ends", |event| event.name == "end").await;
    assert_eq!(last.data["code"], "not_found");
    let suspend = api.operator(Method::POST, "/api/v1/tenants/acme/suspend").json(&json!({}));
    assert!((200..300).contains(&send(suspend).await.status));
    let last = other.until("it ends", |event| event.name == "end").await;
    assert_eq!(last.data["code"], "tenant_suspended");

    // The server ends without waiting for listeners.
    let twin = api.tenant("acme-2").await;
    let mut twins = EventStream::ready(events(&twin, "")).await;
    api.stop();
    assert_eq!(twins.next().await.unwrap().data["code"], "shutdown");
    assert_eq!(twins.next().await, None);
}

#[tokio::test]
async fn a_key_of_one_knowledge_base_hears_of_no_other() {
    let (api, _redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    acme.kb_make(&api, "papers").await;
    let made = acme.post("/api-keys", &json!({ "name": "limited", "kb_id": "papers" })).await;
    let key = made.text("/api_key");
    let open =
        |path: &str| api.request(Method::GET, &format!("/api/v1/tenants/acme{path}")).bearer_auth(&key);
    let mine = send(
        acme.request(Method::POST, "/kbs/papers/documents/text")
            .json(&json!({ "name": "a.md", "text": "x" })),
    )
    .await;
    let other = acme.upload_text("secret.md", "text").await;
    let mut all = EventStream::ready(open("/events")).await;
    for path in [
        format!("/jobs/{}/events", other.text("/job_id")),
        format!("/batches/{}/events", other.text("/batch_id")),
        "/kbs/default/events".to_owned(),
    ] {
        let reply = send(open(&path).header("accept", "text/event-stream")).await;
        problem(&reply, 404, "not_found");
    }
    for job in [other.text("/job_id"), mine.text("/job_id")] {
        assert_eq!(send(acme.request(Method::DELETE, &format!("/jobs/{job}"))).await.status, 202);
    }
    let ended = all.until("its own job ends", |event| event.name == "job").await;
    assert_eq!(
        (&ended.data["job_id"], &ended.data["kb_id"]),
        (&json!(mine.text("/job_id")), &json!("papers"))
    );
}

/// Connections to a Redis that are subscribed to something.
async fn subscriptions(redis: &RedisServer) -> (usize, usize) {
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let list: String = redis::cmd("CLIENT").arg("LIST").query_async(&mut connection).await.unwrap();
    let subscribed = list.lines().filter(|line| !line.contains(" sub=0 ")).count();
    (subscribed, list.lines().count())
}

/// A thousand listeners cost one subscription, and all of them hear at once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_listeners_have_one_subscription() {
    const LISTENERS: usize = 1_000;
    const TENANTS: usize = 4;
    let limits = RequestLimits {
        tenant_listeners: LISTENERS / TENANTS,
        listeners: LISTENERS,
        ..RequestLimits::default()
    };
    let (api, redis) = api(limits).await;
    let mut tenants = Vec::new();
    for number in 0..TENANTS {
        tenants.push(api.tenant(&format!("acme-{number}")).await);
    }
    let before = subscriptions(&redis).await;
    let mut streams = Vec::new();
    for number in 0..LISTENERS {
        streams.push(EventStream::ready(events(&tenants[number % TENANTS], "")).await);
    }
    let after = subscriptions(&redis).await;
    assert_eq!(after.0, before.0 + 1, "one more subscription for {LISTENERS} listeners");
    assert!(after.1 <= before.1 + 2, "{before:?} connections became {after:?}");

    let full = send(events(&tenants[0], "").header("accept", "text/event-stream")).await;
    problem(&full, 429, "listeners_limit_reached");
    let job = JobId::generate(api.clock.now());
    let started = Instant::now();
    for tenant in &tenants {
        tell(&api, &tenant.stores, job, 1);
    }
    for stream in &mut streams {
        assert_eq!(stream.next().await.unwrap().data["done"], 1);
    }
    assert!(started.elapsed() < Duration::from_secs(20), "{:?}", started.elapsed());
    // Others are answered meanwhile, and the places are free again when listeners leave.
    assert_eq!(tenants[0].get("/kbs").await.status, 200);
    drop(streams);
    wait_for("a place", async || {
        let page = tenants[0].get("/events").await;
        if page.status == 200 { Ok(()) } else { Err(page) }
    })
    .await;
}

/// One that reads nothing is ended; one that reads gets everything meanwhile.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_listener_that_reads_nothing_is_ended_and_slows_no_other() {
    const AT_ONCE: u64 = 100;
    const MOST: u64 = 100_000;
    let limits = RequestLimits { tenant_listeners: 2, ..RequestLimits::default() };
    let (api, _redis) = api(limits).await;
    let acme = api.tenant("acme").await;
    let head = format!(
        "GET /api/v1/tenants/acme/events HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n\
         accept: text/event-stream\r\n\r\n",
        acme.key
    );
    let mut deaf = api.connect().await;
    deaf.send(head.as_bytes()).await;
    wait_for("the deaf one to listen", async || {
        if acme.stores.live().has_listeners() { Ok(()) } else { Err("no listener") }
    })
    .await;
    let mut fast = EventStream::ready(events(&acme, "")).await;
    problem(&send(events(&acme, "")).await, 429, "listeners_limit_reached");
    let (job, long) = (JobId::generate(api.clock.now()), "x".repeat(4_000));
    let mut told = 0;
    // Until the buffers of the system are full too, and a place is free. As many at once as the fast one may leave
    // waiting.
    loop {
        for done in told..told + AT_ONCE {
            acme.stores.live().tell(Event {
                job_id: Some(job),
                done: Some(done),
                message: Some(long.clone()),
                ..Event::new(EventKind::Progress, api.clock.now())
            });
        }
        for done in told..told + AT_ONCE {
            let event = fast.next().await.unwrap();
            assert_eq!(event.data["done"].as_u64(), Some(done), "it misses nothing");
        }
        told += AT_ONCE;
        if send(events(&acme, "")).await.status == 200 {
            break;
        }
        assert!(told < MOST, "the deaf one still has its place");
    }
    // Should it read after all, it learns why there is no more.
    let rest = deaf.rest().await;
    let end = rest.rfind("event: end").unwrap_or_else(|| panic!("{} bytes", rest.len()));
    assert!(rest[end..].contains(r#""code":"too_slow""#), "{}", &rest[end..]);
}

/// What could not be published, because Redis was away, is said to be missing, and then it goes on.
#[tokio::test]
async fn a_redis_that_was_away_leaves_no_silent_gap() {
    let (api, mut redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    let job = acme.upload_text("a.md", "text").await.text("/job_id");
    let mut stream = EventStream::ready(events(&acme, &format!("/jobs/{job}"))).await;
    let id: JobId = job.parse().unwrap();
    tell(&api, &acme.stores, id, 1);
    stream.until("it is told", |event| event.data["done"] == 1).await;
    redis.stop().unwrap();
    tell(&api, &acme.stores, id, 2);
    api.opened.stores.events_flush().await;
    redis.resume().unwrap();
    stream.until("the gap is said", |event| event.name == "reset").await;
    let snapshot = stream.until("what is so now", |event| event.name == "snapshot").await;
    assert_eq!(snapshot.data["id"], json!(job));
    tell(&api, &acme.stores, id, 3);
    stream.until("it goes on", |event| event.data["done"] == 3).await;
}

/// Nothing is kept for a tenant without listeners.
#[tokio::test]
async fn events_cost_nothing_without_listeners() {
    let (api, redis) = api(RequestLimits::default()).await;
    let acme = api.tenant("acme").await;
    tell(&api, &acme.stores, JobId::generate(api.clock.now()), 1);
    api.opened.stores.events_flush().await;
    let client = redis::Client::open(redis.url()).unwrap();
    let mut connection = client.get_multiplexed_async_connection().await.unwrap();
    let there: i64 = redis::cmd("EXISTS").arg("t:acme:events").query_async(&mut connection).await.unwrap();
    assert_eq!(there, 0);
    let context = TenantContext::for_tests("acme");
    assert!(!api.opened.stores.scoped(&context).live().has_listeners());
}
