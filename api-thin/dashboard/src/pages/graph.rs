//! A picture of a knowledge base's graph, drawn on the server.

use std::collections::BTreeMap;

use askama::Template;
use axum::extract::{Path, Query};
use axum::response::Response;
use serde::Deserialize;

use crate::api::{Problem, segment};
use crate::contract::{DocumentCounts, Entity, EntityWithSources, GraphPage, Relation};
use crate::frame::{Frame, PageError, page};
use crate::session::Visitor;
use crate::wording;

/// How many chunks are listed that mention the chosen entity.
const MOST_SOURCES: usize = 50;
/// How many entities a picture shows.
const MOST_NODES: usize = 500;
/// How many of them, those with most relations, have their name beside them where there is room.
const NAMED: usize = 60;
/// How wide a letter of a name is, and how high a line.
const LETTER: (f64, f64) = (8.4, 19.0);
/// How far above its node a name stands.
const ABOVE: f64 = 12.0;
/// How strongly the middle pulls: what has no relations keeps within the frame then. All nodes push it as one in the
/// middle would, by `nodes * ideal² / distance`, which this equals a little inside the frame.
const GRAVITY: f64 = 1.9;
/// Width and height of the picture, in its own units.
const SIZE: f64 = 1000.0;
/// Turns of the layout: more change little in what is seen.
const TURNS: u32 = 60;

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Asked {
    find: String,
    entity: String,
}

#[derive(Template)]
#[template(path = "graph.html")]
struct Graph {
    frame: Frame,
    kb: String,
    asked: Asked,
    counts: DocumentCounts,
    nodes: Vec<Node>,
    edges: Vec<Edge>,
    chosen: Option<EntityWithSources>,
    neighbours: Vec<String>,
}

struct Node {
    name: String,
    kind: String,
    x: f64,
    y: f64,
    radius: f64,
    is_found: bool,
    is_chosen: bool,
    /// Whether its name is written beside it: few names are read, many are none.
    is_named: bool,
}

struct Edge {
    from: (f64, f64),
    to: (f64, f64),
}

pub(crate) async fn show(
    visitor: Visitor,
    Path((tenant, kb)): Path<(String, String)>,
    Query(asked): Query<Asked>,
) -> Result<Response, PageError> {
    let path = format!("/tenants/{}/kbs/{}/graph?limit={MOST_NODES}", segment(&tenant), segment(&kb));
    let found: GraphPage = visitor.api.get(&path).await?;
    let of: BTreeMap<&str, usize> =
        found.entities.iter().enumerate().map(|(at, entity)| (entity.name.as_str(), at)).collect();
    let ends = |relation: &Relation| Some((*of.get(&*relation.source)?, *of.get(&*relation.target)?));
    let edges: Vec<_> = found.relations.iter().filter_map(ends).collect();
    let places = layout(found.entities.len(), &edges);
    let degree = |at| edges.iter().filter(|(a, b)| *a == at || *b == at).count();
    let degrees: Vec<_> = (0..found.entities.len()).map(degree).collect();
    let named = named(&found.entities, &degrees, &places);
    let wanted = asked.find.to_lowercase();
    let node = |(at, entity): (usize, &Entity)| Node {
        name: entity.name.clone(),
        kind: entity.kind.clone(),
        x: places[at].0,
        y: places[at].1,
        radius: 5.0 + f64::from(u32::try_from(degrees[at].min(20)).unwrap_or(20)) * 0.6,
        is_found: !wanted.is_empty() && entity.name.to_lowercase().contains(&wanted),
        is_chosen: entity.name == asked.entity,
        is_named: named[at],
    };
    let neighbours = found.relations.iter().filter_map(|relation| match asked.entity.as_str() {
        "" => None,
        name if relation.source == name => Some(relation.target.clone()),
        name if relation.target == name => Some(relation.source.clone()),
        _ => None,
    });
    let template = Graph {
        frame: Frame::of_tenant(&visitor, &tenant, "Graph", "kbs"),
        neighbours: neighbours.collect(),
        nodes: found.entities.iter().enumerate().map(node).collect(),
        edges: edges.iter().map(|(from, to)| Edge { from: places[*from], to: places[*to] }).collect(),
        chosen: chosen(&visitor, (&tenant, &kb), &asked.entity).await?,
        counts: found.counts,
        kb,
        asked,
    };
    Ok(page(&template))
}

/// The entity that a person chose, and the chunks that say something of it. It may be gone since.
async fn chosen(
    visitor: &Visitor,
    (tenant, kb): (&str, &str),
    name: &str,
) -> Result<Option<EntityWithSources>, Problem> {
    if name.is_empty() {
        return Ok(None);
    }
    let kb = format!("/tenants/{}/kbs/{}", segment(tenant), segment(kb));
    let path = format!("{kb}/graph/entities/{}?limit={MOST_SOURCES}", segment(name));
    match visitor.api.get::<EntityWithSources>(&path).await {
        Ok(found) => Ok(Some(found)),
        Err(Problem { status: 404, .. }) => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// Which names are written: of the nodes with most relations first, each that covers no other name.
fn named(entities: &[Entity], degrees: &[usize], places: &[(f64, f64)]) -> Vec<bool> {
    let mut order: Vec<usize> = (0..entities.len()).collect();
    order.sort_by_key(|at| std::cmp::Reverse(degrees[*at]));
    let (mut written, mut boxes) = (vec![false; entities.len()], Vec::new());
    for at in order.into_iter().take(NAMED) {
        let letters = f64::from(u32::try_from(entities[at].name.chars().count()).unwrap_or(u32::MAX));
        let (half, (x, y)) = (letters * LETTER.0 / 2.0, places[at]);
        let covers =
            |other: &(f64, f64, f64)| (x - other.0).abs() < half + other.2 && (y - other.1).abs() < LETTER.1;
        if !boxes.iter().any(covers) {
            boxes.push((x, y, half));
            written[at] = true;
        }
    }
    written
}

/// Places nodes by forces, as Fruchterman and Reingold (1991): all push each other away, edges pull their ends
/// together. The same graph is always drawn the same.
fn layout(nodes: usize, edges: &[(usize, usize)]) -> Vec<(f64, f64)> {
    let count = f64::from(u32::try_from(nodes.max(1)).unwrap_or(u32::MAX));
    let ideal = SIZE / count.sqrt() * 0.6;
    let mut weight = vec![0.0_f64; nodes];
    for (a, b) in edges {
        weight[*a] += 1.0;
        weight[*b] += 1.0;
    }
    let mut at: Vec<(f64, f64)> = (0..nodes).map(|node| start(node, count)).collect();
    for turn in 0..TURNS {
        let mut moves = vec![(0.0, 0.0); nodes];
        for a in 0..nodes {
            for b in a + 1..nodes {
                let (x, y, distance) = apart(at[a], at[b]);
                // Hubs take more room, so that their names can be read.
                let room = 1.0 + 0.12 * (weight[a] * weight[b]).sqrt();
                let push = ideal * ideal / (distance * distance) * room;
                add(&mut moves, a, b, (x * push, y * push));
            }
        }
        for (a, b) in edges {
            let (x, y, distance) = apart(at[*a], at[*b]);
            let pull = -distance / ideal;
            add(&mut moves, *a, *b, (x * pull, y * pull));
        }
        for (pull, place) in moves.iter_mut().zip(&at) {
            *pull = (pull.0 + (SIZE / 2.0 - place.0) * GRAVITY, pull.1 + (SIZE / 2.0 - place.1) * GRAVITY);
        }
        let most = SIZE / 10.0 * (1.0 - f64::from(turn) / f64::from(TURNS));
        for (place, (x, y)) in at.iter_mut().zip(moves) {
            let length = x.hypot(y).max(0.01);
            let step = length.min(most) / length;
            place.0 = (place.0 + x * step).clamp(20.0, SIZE - 20.0);
            place.1 = (place.1 + y * step).clamp(20.0, SIZE - 20.0);
        }
    }
    at
}

/// On a spiral, so that no two nodes begin at one place.
fn start(node: usize, count: f64) -> (f64, f64) {
    let step = f64::from(u32::try_from(node).unwrap_or(u32::MAX)) + 0.5;
    let (angle, radius) = (step * 2.399_963, (step / count).sqrt() * SIZE * 0.45);
    (SIZE / 2.0 + radius * angle.cos(), SIZE / 2.0 + radius * angle.sin())
}

fn apart(a: (f64, f64), b: (f64, f64)) -> (f64, f64, f64) {
    let (x, y) = (a.0 - b.0, a.1 - b.1);
    (x, y, x.hypot(y).max(0.1))
}

fn add(moves: &mut [(f64, f64)], a: usize, b: usize, (x, y): (f64, f64)) {
    moves[a] = (moves[a].0 + x, moves[a].1 + y);
    moves[b] = (moves[b].0 - x, moves[b].1 - y);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_drawn_nearer_than_strangers() {
        let edges = [(0, 1), (1, 2), (2, 0), (3, 4), (4, 5), (5, 3)];
        let at = layout(6, &edges);
        let between = |a: usize, b: usize| apart(at[a], at[b]).2;
        assert!(between(0, 1) < between(0, 4) && between(3, 4) < between(1, 5), "{at:?}");
        assert!(at.iter().all(|(x, y)| (0.0..=SIZE).contains(x) && (0.0..=SIZE).contains(y)));
        assert_eq!(layout(6, &edges), at);
        assert!(layout(0, &[]).is_empty());
    }

    #[test]
    fn what_has_no_relations_keeps_off_the_edge() {
        let edges: Vec<_> = (1..40).map(|node| (node, node / 2)).collect();
        let at = layout(60, &edges);
        assert!(
            at.iter().all(|(x, y)| (30.0..=SIZE - 30.0).contains(x) && (30.0..=SIZE - 30.0).contains(y)),
            "{at:?}"
        );
    }

    #[test]
    fn names_do_not_cover_each_other() {
        let entity =
            |name: &str| Entity { name: name.into(), kind: String::new(), description: String::new() };
        let entities = ["Ada Lovelace", "Ada Byron", "Charles Babbage"].map(entity);
        let places = [(500.0, 500.0), (510.0, 505.0), (500.0, 600.0)];
        assert_eq!(named(&entities, &[1, 5, 2], &places), [false, true, true]);
    }
}
