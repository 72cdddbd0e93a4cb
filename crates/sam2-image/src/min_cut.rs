//! Minimum cut of a grid of pixels (Boykov and Kolmogorov 2004, "An experimental comparison of min-cut/max-flow
//! algorithms for energy minimization in vision"): two trees grow from the terminals, and where they meet, flow is sent.
//!
//! Capacities are whole numbers: no rounding decides where the cut lies, and it ends for every input.

use std::collections::VecDeque;

/// The eight neighbours as (dx, dy). Opposite directions are neighbours in the list: `d ^ 1`.
pub const NEIGHBOURS: [(isize, isize); 8] = [
    (1, 0),
    (-1, 0),
    (0, 1),
    (0, -1),
    (1, 1),
    (-1, -1),
    (1, -1),
    (-1, 1),
];

/// Where a node's path to its terminal goes on: a direction of [`NEIGHBOURS`], or one of these.
mod parent {
    /// The node hangs on the terminal itself.
    pub const TERMINAL: u8 = 8;
    /// The path was cut by a saturated edge.
    pub const ORPHAN: u8 = 9;
    /// In no tree.
    pub const NONE: u8 = 10;
}

/// A link on the way from a node to its terminal.
#[derive(Debug, Clone, Copy)]
enum Link {
    /// The edge that flow takes: node * 8 + direction.
    Edge(usize),
    /// Between this node and the terminal.
    Terminal(usize),
}

/// Sees a link, and the node whose parent it leads to.
type Visit<'a> = dyn FnMut(&mut MinCut, Link, usize) + 'a;

/// No neighbour in a direction.
const NOBODY: u32 = u32::MAX;

/// Pixels of a grid, some or all, between a source and a sink.
#[derive(Debug)]
pub struct MinCut {
    /// The neighbour of node * 8 + direction.
    neighbours: Vec<u32>,
    /// Residual capacity of node * 8 + direction; 0 where there is nobody.
    edges: Vec<i32>,
    /// Residual capacity from the source where positive, to the sink where negative.
    terminal: Vec<i32>,
    parent: Vec<u8>,
    /// Whether a node of a tree belongs to the sink's.
    sinks: Vec<bool>,
    /// Steps to the terminal, right where `checked` is the current time.
    depth: Vec<u32>,
    checked: Vec<u32>,
    time: u32,
    active: VecDeque<u32>,
    waiting: Vec<bool>,
    orphans: VecDeque<u32>,
}

impl MinCut {
    /// So many nodes without any capacity.
    pub fn new(nodes: usize) -> Self {
        Self {
            neighbours: vec![NOBODY; nodes * 8],
            edges: vec![0; nodes * 8],
            terminal: vec![0; nodes],
            parent: vec![parent::NONE; nodes],
            sinks: vec![false; nodes],
            depth: vec![0; nodes],
            checked: vec![0; nodes],
            time: 0,
            active: VecDeque::new(),
            waiting: vec![false; nodes],
            orphans: VecDeque::new(),
        }
    }

    /// Joins a node and the one in `direction` of it, both ways.
    pub fn join(&mut self, node: usize, direction: usize, other: usize, capacity: i32) {
        for (from, direction, to) in [(node, direction, other), (other, direction ^ 1, node)] {
            self.neighbours[from * 8 + direction] = to as u32;
            self.edges[from * 8 + direction] = capacity;
        }
    }

    /// Adds to a node's pull: to the source where positive, to the sink where negative.
    pub fn pull(&mut self, node: usize, towards_source: i32) {
        self.terminal[node] = self.terminal[node].saturating_add(towards_source);
    }

    /// Finds the cut; true for the nodes on the source's side.
    pub fn source_side(mut self) -> Vec<bool> {
        for node in 0..self.terminal.len() {
            if self.terminal[node] != 0 {
                self.sinks[node] = self.terminal[node] < 0;
                self.parent[node] = parent::TERMINAL;
                self.depth[node] = 1;
                self.activate(node);
            }
        }
        while let Some(node) = self.active.pop_front() {
            let node = node as usize;
            self.waiting[node] = false;
            // Each path found may leave more to find from the same node.
            while self.parent[node] != parent::NONE {
                let Some(direction) = self.grow(node) else {
                    break;
                };
                self.time += 1;
                self.send(node, direction);
                self.adopt_all();
            }
        }
        let side = self.parent.iter().zip(&self.sinks);
        side.map(|(p, sink)| *p != parent::NONE && !sink).collect()
    }

    fn neighbour(&self, node: usize, direction: usize) -> Option<usize> {
        let other = self.neighbours[node * 8 + direction];
        (other != NOBODY).then_some(other as usize)
    }

    /// The other end of a link that is there.
    fn above(&self, node: usize, direction: usize) -> usize {
        self.neighbours[node * 8 + direction] as usize
    }

    fn activate(&mut self, node: usize) {
        if !self.waiting[node] {
            self.waiting[node] = true;
            self.active.push_back(node as u32);
        }
    }

    /// Capacity between a node and its neighbour: along the flow away from the source, or the other way.
    fn capacity(&self, node: usize, direction: usize, other: usize, away: bool) -> i32 {
        match away {
            true => self.edges[node * 8 + direction],
            false => self.edges[other * 8 + (direction ^ 1)],
        }
    }

    /// Takes free neighbours into the node's tree; the direction in which it touches the other tree.
    fn grow(&mut self, node: usize) -> Option<usize> {
        for direction in 0..8 {
            let Some(other) = self.neighbour(node, direction) else {
                continue;
            };
            // Along the flow in the source's tree, against it in the sink's.
            if self.capacity(node, direction, other, !self.sinks[node]) == 0 {
                continue;
            }
            if self.parent[other] == parent::NONE {
                self.sinks[other] = self.sinks[node];
                self.hang(other, direction ^ 1, node);
                self.activate(other);
            } else if self.sinks[other] != self.sinks[node] {
                return Some(direction);
            } else if self.checked[other] <= self.checked[node]
                && self.depth[other] > self.depth[node]
            {
                // A shorter way to the terminal.
                self.hang(other, direction ^ 1, node);
            }
        }
        None
    }

    fn hang(&mut self, node: usize, direction: usize, below: usize) {
        self.parent[node] = direction as u8;
        self.checked[node] = self.checked[below];
        self.depth[node] = self.depth[below] + 1;
    }

    /// Sends what fits along the path from the source through the touching pair to the sink.
    fn send(&mut self, node: usize, direction: usize) {
        let other = self.above(node, direction);
        let (from, to, middle) = if self.sinks[node] {
            (other, node, other * 8 + (direction ^ 1))
        } else {
            (node, other, node * 8 + direction)
        };
        let mut amount = self.edges[middle];
        for end in [from, to] {
            self.walk(end, &mut |cut, link, _| {
                amount = amount.min(match link {
                    Link::Edge(edge) => cut.edges[edge],
                    Link::Terminal(node) => cut.terminal[node].abs(),
                });
            });
        }
        self.edges[middle] -= amount;
        let back = if middle == node * 8 + direction {
            other * 8 + (direction ^ 1)
        } else {
            node * 8 + direction
        };
        self.edges[back] += amount;
        for end in [from, to] {
            self.walk(end, &mut |cut, link, at| {
                let left = match link {
                    Link::Edge(edge) => {
                        cut.edges[edge] -= amount;
                        let back = cut.above(edge / 8, edge % 8) * 8 + ((edge % 8) ^ 1);
                        cut.edges[back] += amount;
                        cut.edges[edge]
                    }
                    Link::Terminal(node) => {
                        cut.terminal[node] -= amount * cut.terminal[node].signum();
                        cut.terminal[node]
                    }
                };
                if left == 0 {
                    cut.parent[at] = parent::ORPHAN;
                    cut.orphans.push_front(at as u32);
                }
            });
        }
    }

    /// Visits the links from a node to its terminal.
    fn walk(&mut self, from: usize, visit: &mut Visit) {
        let mut node = from;
        loop {
            let link = self.parent[node];
            if link == parent::TERMINAL {
                visit(self, Link::Terminal(node), node);
                return;
            }
            let direction = usize::from(link);
            let above = self.above(node, direction);
            let edge = if self.sinks[node] {
                node * 8 + direction
            } else {
                above * 8 + (direction ^ 1)
            };
            visit(self, Link::Edge(edge), node);
            node = above;
        }
    }

    fn adopt_all(&mut self) {
        while let Some(node) = self.orphans.pop_front() {
            self.adopt(node as usize);
        }
    }

    /// A new parent for a node whose path was cut, the nearest to the terminal; or it leaves the tree.
    fn adopt(&mut self, node: usize) {
        let mut best: Option<(u32, usize)> = None;
        for direction in 0..8 {
            if let Some(depth) = self.depth_beyond(node, direction)
                && best.is_none_or(|(least, _)| depth < least)
            {
                best = Some((depth, direction));
            }
        }
        if let Some((depth, direction)) = best {
            self.parent[node] = direction as u8;
            self.checked[node] = self.time;
            self.depth[node] = depth + 1;
            return;
        }
        self.parent[node] = parent::NONE;
        for direction in 0..8 {
            let Some(other) = self.same_tree(node, direction) else {
                continue;
            };
            if self.capacity(node, direction, other, self.sinks[node]) > 0 {
                self.activate(other);
            }
            if usize::from(self.parent[other]) == direction ^ 1 {
                self.parent[other] = parent::ORPHAN;
                self.orphans.push_back(other as u32);
            }
        }
    }

    /// The neighbour, where it is in a tree of the node's kind.
    fn same_tree(&self, node: usize, direction: usize) -> Option<usize> {
        let other = self.neighbour(node, direction)?;
        let same = self.parent[other] != parent::NONE && self.sinks[other] == self.sinks[node];
        same.then_some(other)
    }

    /// Steps from the neighbour to the terminal, where the node may hang on it; they are written down along the way.
    fn depth_beyond(&mut self, node: usize, direction: usize) -> Option<u32> {
        let start = self.same_tree(node, direction)?;
        if self.capacity(node, direction, start, self.sinks[node]) == 0 {
            return None;
        }
        let (mut at, mut steps) = (start, 0);
        let known = loop {
            if self.checked[at] == self.time {
                break self.depth[at];
            }
            match self.parent[at] {
                parent::ORPHAN | parent::NONE => return None,
                parent::TERMINAL => {
                    self.checked[at] = self.time;
                    self.depth[at] = 1;
                    break 1;
                }
                link => at = self.above(at, usize::from(link)),
            }
            steps += 1;
        };
        let depth = known + steps;
        let (mut at, mut left) = (start, depth);
        while self.checked[at] != self.time {
            self.checked[at] = self.time;
            self.depth[at] = left;
            left -= 1;
            at = self.above(at, usize::from(self.parent[at]));
        }
        Some(depth)
    }
}

#[cfg(test)]
mod tests;
