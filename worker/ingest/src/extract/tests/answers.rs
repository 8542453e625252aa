use serde::Deserialize;
use stores::model::Extraction;

use crate::extract::answer::{UnreadableAnswer, parse_answer};

#[derive(Deserialize)]
struct Case {
    answer: String,
    entities: Vec<(String, String, String)>,
    relations: Vec<(String, String, String, String)>,
}

fn read(answer: &str) -> Extraction {
    parse_answer(answer).expect("readable")
}

fn names(extraction: &Extraction) -> Vec<&str> {
    extraction.entities.iter().map(|entity| entity.name.as_str()).collect()
}

/// Entities of the answers whose description is empty or whose type has a remark. `LightRAG` loses them, we do not.
const KEPT_BESIDES: [&str; 2] = ["Ghost", "Bad Type"];

#[test]
fn answers_give_the_records_that_lightrag_reads() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../testdata/answers.json")).expect("json");
    for case in cases {
        let Ok(extraction) = parse_answer(&case.answer) else {
            assert_eq!((case.entities.len(), case.relations.len(), case.answer.as_str()), (0, 0, ""));
            continue;
        };
        let entities =
            extraction.entities.iter().filter(|entity| !KEPT_BESIDES.contains(&entity.name.as_str()));
        let mut entities: Vec<_> = entities
            .map(|entity| (entity.name.clone(), entity.kind.clone(), entity.description.clone()))
            .collect();
        entities.sort();
        assert_eq!(entities, case.entities, "{}", case.answer);
        let mut expected: Vec<_> = case.relations.into_iter().map(canonical).collect();
        expected.sort();
        let relations = extraction.relations.into_iter();
        let mut relations: Vec<_> =
            relations.map(|r| (r.source, r.target, r.keywords, r.description)).collect();
        relations.sort();
        assert_eq!(relations, expected, "{}", case.answer);
    }
}

/// We order the ends and split the keywords while reading, LightRAG while merging.
fn canonical(relation: (String, String, String, String)) -> (String, String, Vec<String>, String) {
    let (one, other, keywords, description) = relation;
    let keywords = keywords.split(',').map(|keyword| keyword.trim().to_owned()).collect();
    (one.clone().min(other.clone()), one.max(other), keywords, description)
}

#[test]
fn a_delimiter_in_place_of_a_line_end_loses_no_record() {
    let answer = "entity<|#|>A<|#|>Person<|#|>d1<|#|>entity<|#|>B<|#|>Person<|#|>d2<|#|>\
                  relation<|#|>B<|#|>A<|#|>k<|#|>d3";
    let extraction = read(answer);
    assert_eq!(names(&extraction), ["A", "B"]);
    assert_eq!((extraction.relations[0].source.as_str(), extraction.relations[0].weight), ("A", 1.0));
}

#[test]
fn json_is_found_within_prose_fences_and_thoughts() {
    let json = r#"{"entities":[{"name":"A {x}","type":"Person","description":"says \"}\""}],"relationships":
        [{"source":"B","target":"A","keywords":["k1","k2"],"description":"r"}]}"#;
    let wrapped =
        format!("<think>maybe {{\"name\": 1}}</think>Here is the \"JSON\":\n```json\n{json}\n```\nDone.");
    for answer in [json, wrapped.as_str()] {
        let extraction = read(answer);
        assert_eq!(names(&extraction), ["A {x}"]);
        assert_eq!(extraction.relations[0].keywords, ["k1", "k2"]);
    }
}

#[test]
fn an_answer_cut_short_gives_the_records_before_the_cut() {
    let answer = r#"{"entities":[{"name":"A","type":"person","description":"d"},{"name":"B","type":"per"#;
    assert_eq!(names(&read(answer)), ["A"]);
}

#[test]
fn nothing_found_differs_from_nothing_understood() {
    for answer in
        [r#"{"entities":[],"relationships":[]}"#, "<|COMPLETE|>", "```json\n{\"entities\": []}\n```"]
    {
        assert_eq!(parse_answer(answer), Ok(Extraction::default()), "{answer}");
    }
    for answer in ["", "not json", "{\"entities\": [", "{}", "I cannot help with that."] {
        assert_eq!(parse_answer(answer), Err(UnreadableAnswer::NoRecords), "{answer}");
    }
}

#[test]
fn what_is_null_missing_or_nested_costs_no_record() {
    let extraction = read(
        r#"{"entities":[{"name":"Nora Lindqvist","type":"person","description":null},
        {"name":"Fennwick Ltd","type":null,"description":"a firm","attributes":{"name":"inner","type":"x"}},
        {"name":"Oslo","type":"Location (city)","description":["a port.","a capital."]},
        {"name":"Redis","type":"","description":"d"},{"name":["Ada","A."],"type":["person","leader"],"description":1}],
        "relationships":[{"source":"Nora Lindqvist","target":"Oslo","keywords":null,"meta":{"confidence":0.9}},
        {"source":"Ada","target":"Oslo","keywords":["k1",null,"k2"],"description":null}]}"#,
    );
    let found: Vec<_> = extraction
        .entities
        .iter()
        .map(|e| (e.name.as_str(), e.kind.as_str(), e.description.as_str()))
        .collect();
    let expected = [
        ("Nora Lindqvist", "person", ""),
        ("Fennwick Ltd", "UNKNOWN", "a firm"),
        ("Oslo", "location", "a port. a capital."),
        ("Redis", "UNKNOWN", "d"),
        ("Ada", "person", "1"),
    ];
    // The cleaning takes a bare number for nothing.
    assert_eq!(found[..4], expected[..4]);
    assert_eq!((found[4].0, found[4].1), (expected[4].0, expected[4].1));
    let keywords: Vec<_> = extraction.relations.iter().map(|relation| relation.keywords.len()).collect();
    assert_eq!((keywords, extraction.dropped), (vec![0, 2], 0));
}

#[test]
fn thoughts_without_an_end_are_no_answer() {
    let thought = r#"<think>Perhaps {"name": "Wrong", "type": "person", "description": "no"}"#;
    assert_eq!(parse_answer(thought), Err(UnreadableAnswer::NoRecords));
    let late = format!(r#"{thought} So: {{"entities":[{{"name":"A","type":"t","description":"d"}}]}}"#);
    assert_eq!(names(&read(&late)), ["A"], "it ends with the answer");
    assert_eq!(parse_answer(&format!("{late} or not")), Err(UnreadableAnswer::NoRecords));
    let answered = format!(r#"{{"entities":[{{"name":"A","type":"t","description":"d"}}]}}{thought}"#);
    assert_eq!(names(&read(&answered)), ["A"]);
}

#[test]
fn names_lose_their_markdown_and_words_for_nothing_are_none() {
    let entity = |name: &str| format!(r#"{{"name":"{name}","type":"t","description":"d"}}"#);
    let all = ["**Oslo**", "`redis`", "*Ada*", "__init__", "N/A", "None", "**unknown**", "2*3"].map(entity);
    let extraction = read(&format!("[{}]", all.join(",")));
    assert_eq!(names(&extraction), ["Oslo", "redis", "Ada", "__init__", "2*3"]);
    assert_eq!(extraction.dropped, 0, "they name nothing, so nothing is lost");
}

#[test]
fn what_is_dropped_is_counted() {
    let answer = r#"{"entities":[{"name":"A","type":"t","description":"d"},{"name":"","type":"t"}],
        "relationships":[{"source":"A","target":"A"},{"source":"A","target":null}]}"#;
    assert_eq!(read(answer).dropped, 3);
    let none = r#"{"entities":[{"name":null,"type":"t"},{"name":{"a":1},"type":"t"}]}"#;
    assert_eq!(parse_answer(none), Err(UnreadableAnswer::AllDropped(2)));
    let entities = lines(90, |n| format!("entity<|#|>E{n:03}<|#|>data<|#|>d"));
    assert_eq!(read(&format!("{entities}\nentity<|#|>cut")).dropped, 51);
}

/// Arguments of a call, a schema that is quoted, and a list within another: containers are no records.
#[test]
fn records_are_found_in_whatever_holds_them() {
    let record = r#"{"name":"A","type":"t","description":"d"}"#;
    for answer in [
        format!(r#"{{"name":"extract","arguments":{{"entities":[{record}]}}}}"#),
        format!(r#"{{"name":"doc","description":"x","entities":[{record}]}}"#),
        format!(r#"{{"result":{{"graph":{{"entities":[[{record}]]}}}}}}"#),
        format!("```json\n[{record}]\n```"),
    ] {
        assert_eq!(names(&read(&answer)), ["A"], "{answer}");
    }
}

fn lines(count: usize, line: impl Fn(usize) -> String) -> String {
    (0..count).map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn records_are_limited_and_loops_dropped() {
    let entities = lines(90, |n| format!("entity<|#|>E{n:03}<|#|>data<|#|>d"));
    let relations = lines(200, |n| format!("relation<|#|>X{n}<|#|>Y<|#|>k<|#|>d"));
    let extraction = read(&format!("{entities}\nrelation<|#|>Y<|#|>\"Y\"<|#|>k<|#|>loop\n{relations}"));
    assert_eq!((extraction.entities.len(), extraction.relations.len()), (40, 60));
    assert!(extraction.relations.iter().all(|relation| relation.source < relation.target));
}

#[test]
fn what_an_answer_says_twice_is_one_record() {
    let answer = "entity<|#|>A<|#|>data<|#|>d1\nentity<|#|>A<|#|>data<|#|>d2\nentity<|#|>A<|#|>data<|#|>d1\n\
                  relation<|#|>A<|#|>B<|#|>k1<|#|>r\nrelation<|#|>B<|#|>A<|#|>k2,k1<|#|>r\n";
    let extraction = read(answer);
    assert_eq!(extraction.entities.len(), 1);
    assert_eq!(extraction.entities[0].description, "d1<SEP>d2");
    assert_eq!(extraction.relations.len(), 1);
    assert_eq!(extraction.relations[0].keywords, ["k1", "k2"]);
    assert_eq!(extraction.relations[0].description, "r");
}

#[test]
fn hostile_answers_take_linear_time() {
    for unit in ["{", "{\"a\":", "\"", "\\", "<|#|", "<", "entity<|#|>", "}", "{}", "[{"] {
        let _ = parse_answer(&unit.repeat(200_000 / unit.len()));
    }
}
