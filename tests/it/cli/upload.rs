//! Uploading a folder: one report over everything in it.

use std::fs;

use serde_json::json;
use tests::bed::Bed;
use tests::texts;

use super::{member, operator};

#[tokio::test]
async fn a_folder_with_a_bad_file_is_uploaded_and_the_bad_file_is_named() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("sub")).unwrap();
    for (name, text) in [
        ("heron.md", texts::short("Heron")),
        ("sub/lantern.txt", texts::short("Lantern")),
        ("empty.html", "<p></p>".to_owned()),
        ("photo.png", "\u{89}PNG".to_owned()),
        (".hidden", "left out".to_owned()),
    ] {
        fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let ran = cli.run(&["documents", "upload", path, "--output", "json"]).await;
    let report = ran.json();
    assert_eq!((ran.code, &report["ok"]), (1, &json!(2)), "{ran:?}");
    let failed: Vec<_> = report["failed"]
        .as_array()
        .unwrap()
        .iter()
        .map(|failed| (&failed["name"], &failed["code"]))
        .collect();
    let (empty, photo) = (json!("empty.html"), json!("photo.png"));
    let codes = (json!("empty_document"), json!("unsupported_media_type"));
    assert_eq!(failed, [(&empty, &codes.0), (&photo, &codes.1)]);
    assert!(ran.err.contains("error: 2 of 4 documents failed"), "{ran:?}");
    assert!(ran.err.contains("4/4 4 uploaded, 0 on their way, 2 failed"), "{ran:?}");
    let listed = cli.json(&["documents", "list", "--status", "processed"]).await;
    let mut names: Vec<_> =
        listed.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    names.sort_unstable();
    assert_eq!(names, ["heron.md", "sub/lantern.txt"]);

    for name in ["empty.html", "photo.png"] {
        fs::remove_file(folder.path().join(name)).unwrap();
    }
    let again = cli.run(&["documents", "upload", path, "--prefix", "again/"]).await.done();
    assert_eq!(again.out, "2 documents are in the graph, 0 failed\n");
    assert_eq!(cli.json(&["documents", "show", "again/sub/lantern.txt"]).await["status"], "processed");
}

#[tokio::test]
async fn a_folder_is_followed_later_and_needs_no_more_than_the_right_to_upload() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("heron.md"), texts::short("Heron")).unwrap();
    let path = folder.path().to_str().unwrap();
    let made = cli.json(&["keys", "create", "importer", "--permission", "document:create"]).await;
    let importer = tests::cli::Cli::new(&bed.url(), made["api_key"].as_str().unwrap());
    importer.run(&["documents", "upload", path]).await.refused(4, &["forbidden", "document:read"]);
    let sent = importer.run(&["documents", "upload", path, "--no-wait"]).await.done();
    assert_eq!(sent.out, "1 document is uploaded, 0 failed\n");
    let tail = cli.run(&["jobs", "tail", "--folder", path]).await.done();
    assert_eq!(tail.out, "1 document is in the graph, 0 failed\n");
}

#[tokio::test]
async fn what_would_keep_out_every_file_ends_the_upload_at_once() {
    let bed = Bed::embedded().await;
    let (acme, _) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().to_str().unwrap();
    cli.run(&["documents", "upload", path]).await.refused(2, &["it has no files"]);
    fs::write(folder.path().join("heron.md"), texts::short("Heron")).unwrap();
    let nowhere = folder.path().join("nowhere");
    cli.run(&["documents", "upload", nowhere.to_str().unwrap()]).await.refused(2, &["no such file"]);
    cli.run(&["documents", "upload", path, "--kb", "nowhere"]).await.refused(3, &["not_found"]);
    let operator = operator(&bed);
    operator.run(&["documents", "upload", path, "--tenant", &acme.id]).await.refused(4, &["forbidden"]);
    let full = operator.run(&["tenants", "set", &acme.id, "--limit", "max_documents=1"]).await.done();
    assert!(full.out.contains("max_documents"), "{full:?}");
    fs::write(folder.path().join("lantern.md"), texts::short("Lantern")).unwrap();
    let ran = cli.run(&["documents", "upload", path, "--output", "json"]).await;
    assert_eq!(
        (ran.code, &ran.json()["failed"][0]["code"]),
        (1, &json!("documents_limit_reached")),
        "{ran:?}"
    );
}

/// A folder is a batch, which is followed, shown and cancelled as one thing.
#[tokio::test]
async fn a_folder_is_a_batch() {
    let bed = Bed::embedded().await;
    let (acme, twin) = bed.look_alikes().await;
    let cli = member(&bed, &acme);
    let folder = tempfile::tempdir().unwrap();
    for (name, text) in [
        ("heron.md", texts::long("Heron")),
        ("empty.html", "<p></p>".to_owned()),
        ("a/b.md", texts::short("B")),
    ] {
        fs::create_dir_all(folder.path().join("a")).unwrap();
        fs::write(folder.path().join(name), text).unwrap();
    }
    let path = folder.path().to_str().unwrap();
    let sent = cli.run(&["documents", "upload", path, "--no-wait"]).await.done();
    assert_eq!(sent.out, "3 documents are uploaded, 0 failed\n");
    let listed = cli.json(&["batches", "list"]).await;
    assert_eq!((listed.as_array().unwrap().len(), &listed[0]["progress"]["total"]), (1, &json!(3)));
    let batch = listed[0]["id"].as_str().unwrap();
    let tail = cli.run(&["batches", "tail", batch]).await;
    assert_eq!(tail.code, 1, "{tail:?}");
    assert!(tail.out.contains("empty.html") && tail.out.contains("empty_document"), "{tail:?}");
    assert!(tail.out.ends_with("2 documents are in the graph, 1 failed\n"), "{tail:?}");
    assert!(tail.err.contains(&format!("{batch}: 3/3")), "{tail:?}");
    let shown = cli.json(&["batches", "show", batch]).await;
    assert_eq!((&shown["state"], &shown["counts"]["processed"]), (&json!("done"), &json!(2)));
    let cancelled = cli.run(&["batches", "cancel", batch, "--yes"]).await.done();
    assert_eq!(cancelled.out, "0 documents cancelled; of their jobs 0 cancelled, 0 stopping\n");
    let twin = member(&bed, &twin);
    twin.run(&["batches", "show", batch]).await.refused(3, &["not_found"]);
    twin.run(&["batches", "tail", batch]).await.refused(3, &["not_found"]);

    let document = cli.run(&["documents", "tail", "a/b.md"]).await.done();
    assert_eq!(document.out, "1 document is in the graph, 0 failed\n");
    let failed = cli.run(&["documents", "tail", "empty.html"]).await;
    assert!(failed.code == 1 && failed.out.contains("empty_document"), "{failed:?}");
    let job = cli.json(&["documents", "show", "a/b.md"]).await["job_id"].as_str().unwrap().to_owned();
    let tail = cli.run(&["jobs", "tail", &job]).await.done();
    assert_eq!(tail.out, format!("{job} is completed\n"));
    assert!(tail.err.contains("4/4 completed: reading"), "{tail:?}");
}
