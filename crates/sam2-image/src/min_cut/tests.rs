//! The cut against all labellings of small grids, and on a large one.

use super::*;
use proptest::prelude::*;

/// What a labelling costs: links between unlike neighbours, and pulls to the side a node is not on.
fn cost(
    (width, height): (usize, usize),
    pulls: &[i32],
    links: &[(usize, usize, i32)],
    source: &[bool],
) -> i64 {
    assert_eq!(pulls.len(), width * height);
    let torn = |(node, direction, capacity): &(usize, usize, i32)| {
        let (dx, dy) = NEIGHBOURS[*direction];
        let other = node.wrapping_add_signed(dy * width as isize + dx);
        i64::from(source[*node] != source[other]) * i64::from(*capacity)
    };
    let missed = |(pull, source): (&i32, &bool)| match source {
        true => i64::from((-pull).max(0)),
        false => i64::from((*pull).max(0)),
    };
    links.iter().map(torn).sum::<i64>() + pulls.iter().zip(source).map(missed).sum::<i64>()
}

/// Every pair of neighbours of a grid, with its direction (the four forward ones).
fn neighbour_pairs((width, height): (usize, usize)) -> Vec<(usize, usize)> {
    let mut out = Vec::new();
    for node in 0..width * height {
        for direction in [0, 2, 4, 6] {
            let (dx, dy) = NEIGHBOURS[direction];
            let x = (node % width).checked_add_signed(dx);
            let y = (node / width).checked_add_signed(dy);
            if x.is_some_and(|x| x < width) && y.is_some_and(|y| y < height) {
                out.push((node, direction));
            }
        }
    }
    out
}

fn cut(size: (usize, usize), pulls: &[i32], links: &[(usize, usize, i32)]) -> Vec<bool> {
    let mut cut = MinCut::new(size.0 * size.1);
    for (node, pull) in pulls.iter().enumerate() {
        cut.pull(node, *pull);
    }
    for (node, direction, capacity) in links {
        let (dx, dy) = NEIGHBOURS[*direction];
        let other = node.wrapping_add_signed(dy * size.0 as isize + dx);
        cut.join(*node, *direction, other, *capacity);
    }
    cut.source_side()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn no_labelling_is_cheaper(
        size in prop_oneof![Just((4_usize, 3_usize)), Just((3, 4)), Just((12, 1)), Just((1, 5)), Just((2, 5))],
        pulls in prop::collection::vec(-9..10_i32, 12),
        capacities in prop::collection::vec(0..8_i32, 48),
    ) {
        let nodes = size.0 * size.1;
        let pulls = &pulls[..nodes];
        let links: Vec<_> = neighbour_pairs(size)
            .into_iter()
            .zip(&capacities)
            .map(|((node, direction), capacity)| (node, direction, *capacity))
            .collect();
        let found = cost(size, pulls, &links, &cut(size, pulls, &links));
        let all = (0..1_u32 << nodes).map(|bits| {
            let source: Vec<bool> = (0..nodes).map(|n| bits >> n & 1 == 1).collect();
            cost(size, pulls, &links, &source)
        });
        prop_assert_eq!(Some(found), all.min());
    }
}

#[test]
fn a_cut_follows_the_weak_links_of_a_large_grid() {
    // Two ends of a band pull apart; the links of column 40 are weak.
    let size = (100, 30);
    let mut pulls = vec![0; size.0 * size.1];
    for y in 0..size.1 {
        pulls[y * size.0] = 1000;
        pulls[y * size.0 + size.0 - 1] = -1000;
    }
    let links: Vec<_> = neighbour_pairs(size)
        .into_iter()
        .map(|(node, direction)| {
            let x = node % size.0;
            let to = x.wrapping_add_signed(NEIGHBOURS[direction].0);
            let weak = x.min(to) == 39 && x.max(to) == 40;
            (node, direction, if weak { 1 } else { 50 })
        })
        .collect();
    let sides = cut(size, &pulls, &links);
    for (node, source) in sides.iter().enumerate() {
        assert_eq!(*source, node % size.0 < 40, "node {node}");
    }
}

#[test]
fn without_pulls_nothing_is_on_the_sources_side() {
    assert_eq!(MinCut::new(6).source_side(), vec![false; 6]);
    assert!(MinCut::new(0).source_side().is_empty());
}
