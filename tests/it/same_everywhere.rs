//! Choosing servers or embedded stores is configuration: what comes out is the same.

use std::path::Path;

use tests::bed::{Bed, Snapshot, TestTenant, postgres_alone, servers};
use walkdir::WalkDir;

/// Uploads the demo's documents of one company, all at once.
async fn ingest_samples(tenant: &TestTenant, company: &Path) {
    let files = WalkDir::new(company).sort_by_file_name().into_iter().filter_map(Result::ok);
    let mut names = Vec::new();
    for file in files.filter(|file| file.file_type().is_file()) {
        let name = file.file_name().to_string_lossy().into_owned();
        let media_type = match file.path().extension().and_then(|extension| extension.to_str()) {
            Some("html") => "text/html",
            Some("md") => "text/markdown",
            _ => "text/plain",
        };
        let bytes = std::fs::read(file.path()).unwrap();
        let answer = tenant.upload_file(&name, media_type, &bytes).await;
        assert_eq!(answer.status, 202, "{name}: {answer:?}");
        names.push(name);
    }
    assert!(names.len() >= 5, "the demo has documents: {names:?}");
    for name in names {
        let document = tenant.settled(&name).await;
        assert_eq!(document["status"], "processed", "{document}");
    }
}

#[tokio::test]
async fn the_same_documents_make_the_same_knowledge_base() {
    let samples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docker/demo");
    let mut companies: Vec<_> =
        std::fs::read_dir(samples).unwrap().map(|entry| entry.unwrap().path()).collect();
    companies.retain(|path| path.is_dir());
    companies.sort();
    let (embedded, (alone, database)) = (Bed::embedded().await, postgres_alone().await);
    let beds = [("embedded", &embedded), ("PostgreSQL alone", &alone), ("all servers", servers().await)];
    let ingested = beds.map(|(set, bed)| {
        let companies = &companies;
        async move {
            let (one, other) = bed.look_alikes().await;
            tokio::join!(ingest_samples(&one, &companies[0]), ingest_samples(&other, &companies[1]));
            let of = async |tenant: &TestTenant| Snapshot::of(bed.stores(), &tenant.id).await;
            (set, [of(&one).await, of(&other).await])
        }
    });
    let ingested = futures::future::join_all(ingested).await;
    let (_, expected) = &ingested[0];
    assert!(expected.iter().all(|company| company.entities.len() > 10), "there is something to compare");
    for (set, found) in &ingested[1..] {
        for (found, expected) in found.iter().zip(expected) {
            assert_eq!(found.documents, expected.documents, "{set}");
            assert_eq!(found.entities, expected.entities, "{set}");
            assert_eq!(found.relations, expected.relations, "{set}");
        }
    }
    drop(alone);
    database.drop().await;
}
