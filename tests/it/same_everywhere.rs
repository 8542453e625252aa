//! Choosing servers or embedded stores is configuration: what comes out is the same.

use std::path::Path;

use tests::bed::{Bed, Snapshot, TestTenant, servers};
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
    let (embedded, real) = (Bed::embedded().await, servers().await);
    let (here, here_too) = embedded.look_alikes().await;
    let (there, there_too) = real.look_alikes().await;
    tokio::join!(
        ingest_samples(&here, &companies[0]),
        ingest_samples(&here_too, &companies[1]),
        ingest_samples(&there, &companies[0]),
        ingest_samples(&there_too, &companies[1]),
    );
    for (one, other) in [(here, there), (here_too, there_too)] {
        let one = Snapshot::of(embedded.stores(), &one.id).await;
        let other = Snapshot::of(real.stores(), &other.id).await;
        assert!(one.entities.len() > 10, "there is something to compare");
        assert_eq!(one.documents, other.documents);
        assert_eq!(one.entities, other.entities);
        assert_eq!(one.relations, other.relations);
    }
}
