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

#[test]
fn answers_give_the_records_that_lightrag_reads() {
    let cases: Vec<Case> = serde_json::from_str(include_str!("../testdata/answers.json")).expect("json");
    for case in cases {
        let Ok(extraction) = parse_answer(&case.answer) else {
            assert_eq!((case.entities.len(), case.relations.len(), case.answer.as_str()), (0, 0, ""));
            continue;
        };
        let entities = extraction.entities.iter();
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
        assert_eq!(parse_answer(answer), Err(UnreadableAnswer), "{answer}");
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
