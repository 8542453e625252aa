//! Every chunk of some length must give a graph, in any language.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use stores::model::Extraction;

use super::rules::extract;

fn check(extraction: &Extraction) -> Result<(), String> {
    let (entities, relations) = (&extraction.entities, &extraction.relations);
    if entities.len() < 2 || relations.is_empty() {
        return Err(format!("{} entities, {} relations", entities.len(), relations.len()));
    }
    if entities.len() > 40 || entities.len() + relations.len() > 100 {
        return Err("too many records".to_owned());
    }
    for entity in entities {
        let name = &entity.name;
        let is_bounded =
            name.chars().count() <= 256 && name.len() <= 512 && entity.description.chars().count() <= 301;
        if name.trim() != name || name.is_empty() || name.chars().any(char::is_control) || !is_bounded {
            return Err(format!("bad entity {entity:?}"));
        }
    }
    for relation in relations {
        let is_listed = |end: &String| entities.iter().any(|entity| entity.name == *end);
        if relation.source >= relation.target || !is_listed(&relation.source) || !is_listed(&relation.target)
        {
            return Err(format!("bad relation {relation:?}"));
        }
        if relation.keywords.is_empty() || relation.description.is_empty() {
            return Err(format!("empty relation {relation:?}"));
        }
    }
    Ok(())
}

#[tokio::test]
async fn every_script_gives_entities_and_relations() {
    let texts = [
        (
            "small letters",
            "the scheduler gives every tenant a fair share of the workers and keeps a clock per tenant. ",
        ),
        (
            "Cyrillic",
            "планировщик даёт каждому арендатору справедливую долю рабочих и хранит часы для каждого. ",
        ),
        ("Chinese", "人工智能技术正在改变世界。北京大学的研究人员在上海市发布了报告。"),
        ("Japanese", "東京大学の山田太郎教授は、人工知能の研究で知られています。ロボットとコンピュータ。"),
        ("kana", "これはひらがなだけでかかれたぶんしょうです。とてもよみにくいですね。"),
        ("Korean", "스케줄러는 모든 테넌트에게 공정한 몫을 준다. 작업자는 시계를 가진다. "),
        ("Arabic", "الذكاء الاصطناعي يغير العالم في مدينة القاهرة. تعمل جامعة القاهرة على التطوير. "),
        ("Hebrew", "בינה מלאכותית משנה את העולם. האוניברסיטה עובדת על פיתוח. "),
        ("Hindi", "कृत्रिम बुद्धिमत्ता दुनिया को बदल रही है। विश्वविद्यालय विकास पर काम करता है। "),
        ("Thai", "ภาษาไทยเป็นภาษาราชการของประเทศไทย กรุงเทพมหานครเป็นเมืองหลวง "),
        ("Greek", "η τεχνητή νοημοσύνη αλλάζει τον κόσμο και το πανεπιστήμιο εργάζεται. "),
        ("numbers", "12345 67890 3.14159 42 1000 2024-05-01 77 "),
        ("code", "    let x = foo(bar, 1);\n    if x > 2 { return baz[x]; }\n"),
        ("one line of data", "QmFzZTY0IGlzIG5vdCB0ZXh0IGF0IGFsbA"),
        ("stop words", "and then it was the one that they had been with before. "),
        ("headings", "# Getting Started\n\n# Table of Contents\n\n# License\n\n"),
    ];
    for (script, unit) in texts {
        let chunk = unit.repeat(1 + 1200 / unit.chars().count());
        let extraction = extract(&chunk).await;
        assert_eq!(check(&extraction), Ok(()), "{script}: {extraction:?}");
    }
}

#[tokio::test]
async fn hostile_chunks_take_linear_time() {
    for unit in [
        "a", "A", " ", "Aa ", "_", "::", "a.", "居", ". A", "| ", "@", "'", "#\n", "- ", "&", "A&", "a-",
        "ก้", "“",
    ] {
        let chunk = unit.repeat(60_000 / unit.len());
        let started = Instant::now();
        let _ = extract(&chunk).await;
        assert!(started.elapsed() < Duration::from_secs(20), "{unit:?} took {:?}", started.elapsed());
    }
}

/// A chunk of 32,768 tokens, the largest that a tenant may ask for, in scripts without spaces: as many sequences as
/// characters, several times over, most of which occur again and again.
#[tokio::test]
async fn the_largest_chunks_take_linear_time() {
    let mut seed = 7_u32;
    let mut random = |below: u32| {
        seed = seed.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (seed >> 8) % below
    };
    for (first, characters) in [('\u{4e00}', 3_000), ('\u{4e00}', 5), ('\u{e01}', 46)] {
        let chars = (0..60_000).filter_map(|_| char::from_u32(u32::from(first) + random(characters)));
        let chunk: String = chars.collect();
        let started = Instant::now();
        assert_eq!(check(&extract(&chunk).await), Ok(()), "{first} {characters}");
        assert!(started.elapsed() < Duration::from_secs(20), "{first} {characters}: {:?}", started.elapsed());
    }
}

fn word() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{2,9}",
        "[A-Z][a-z]{1,8}",
        "[A-Z]{2,5}",
        "[a-z]{2,5}_[a-z]{2,5}",
        "[0-9]{1,5}",
        "[а-я]{3,8}",
        "[\u{4e00}-\u{4f00}]{2,6}",
        "[\u{5d0}-\u{5ea}]{3,7}",
    ]
}

fn mark() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        " ", " ", " ", " ", ", ", ". ", "\n", "\n\n", "。", " | ", "\n- ", "\n# ", "\n    ", "; ", "'s ",
    ])
}

fn extract_now(chunk: &str) -> Extraction {
    futures::executor::block_on(extract(chunk))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_long_text_gives_a_graph_and_always_the_same(
        parts in prop::collection::vec((word(), mark()), 250..400),
    ) {
        let chunk: String = parts.iter().flat_map(|(word, mark)| [word.as_str(), mark]).collect();
        let extraction = extract_now(&chunk);
        prop_assert_eq!(check(&extraction), Ok(()));
        prop_assert_eq!(extract_now(&chunk), extraction);
    }

    #[test]
    fn no_text_makes_it_panic(chunk in any::<String>()) {
        let _ = extract_now(&chunk);
    }
}
