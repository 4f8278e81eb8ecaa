//! Boolean functions as reduced ordered decision diagrams: equal functions are the same node.

use std::collections::HashMap;

use super::Doubt;

/// Nodes of all functions of one comparison under one reading.
const MAX_NODES: usize = 100_000;

/// A Boolean function, by the number of its node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Node(u32);

impl Node {
    pub(super) const FALSE: Node = Node(0);
    pub(super) const TRUE: Node = Node(1);
}

/// The functions made so far, over variables numbered as they were asked for.
pub(super) struct Diagram {
    /// Variable, and what remains where it is false and where it is true.
    nodes: Vec<(u32, Node, Node)>,
    unique: HashMap<(u32, Node, Node), Node>,
    chosen: HashMap<(Node, Node, Node), Node>,
    variables: u32,
}

impl Diagram {
    pub(super) fn new() -> Diagram {
        let end = |node| (u32::MAX, node, node);
        Diagram { nodes: vec![end(Node::FALSE), end(Node::TRUE)], unique: HashMap::new(), chosen: HashMap::new(), variables: 0 }
    }

    /// A new variable, after all others in order.
    pub(super) fn variable(&mut self) -> Result<Node, Doubt> {
        self.variables += 1;
        self.node(self.variables - 1, Node::FALSE, Node::TRUE)
    }

    fn node(&mut self, variable: u32, low: Node, high: Node) -> Result<Node, Doubt> {
        if low == high {
            return Ok(low);
        }
        if let Some(&node) = self.unique.get(&(variable, low, high)) {
            return Ok(node);
        }
        if self.nodes.len() >= MAX_NODES {
            return Err(Doubt::TooMany("combinations of conditions"));
        }
        let node = Node(self.nodes.len() as u32);
        self.nodes.push((variable, low, high));
        self.unique.insert((variable, low, high), node);
        Ok(node)
    }

    fn parts(&self, node: Node) -> (u32, Node, Node) {
        self.nodes.get(node.0 as usize).copied().unwrap_or((u32::MAX, node, node))
    }

    /// `then` where `test` holds, `other` elsewhere.
    pub(super) fn choose(&mut self, test: Node, then: Node, other: Node) -> Result<Node, Doubt> {
        match (test, then, other) {
            (Node::TRUE, ..) => return Ok(then),
            (Node::FALSE, ..) => return Ok(other),
            (_, Node::TRUE, Node::FALSE) => return Ok(test),
            _ if then == other => return Ok(then),
            _ => {}
        }
        if let Some(&node) = self.chosen.get(&(test, then, other)) {
            return Ok(node);
        }
        let parts = [test, then, other].map(|node| (node, self.parts(node)));
        let top = parts.iter().map(|(_, (variable, ..))| *variable).min().unwrap_or(u32::MAX);
        let [low_test, low_then, low_other] = parts.map(|(node, (variable, low, _))| if variable == top { low } else { node });
        let [high_test, high_then, high_other] = parts.map(|(node, (variable, _, high))| if variable == top { high } else { node });
        let low = self.choose(low_test, low_then, low_other)?;
        let high = self.choose(high_test, high_then, high_other)?;
        let node = self.node(top, low, high)?;
        self.chosen.insert((test, then, other), node);
        Ok(node)
    }

    pub(super) fn not(&mut self, node: Node) -> Result<Node, Doubt> {
        self.choose(node, Node::FALSE, Node::TRUE)
    }

    pub(super) fn and(&mut self, one: Node, other: Node) -> Result<Node, Doubt> {
        self.choose(one, other, Node::FALSE)
    }

    pub(super) fn or(&mut self, one: Node, other: Node) -> Result<Node, Doubt> {
        self.choose(one, Node::TRUE, other)
    }

    pub(super) fn differ(&mut self, one: Node, other: Node) -> Result<Node, Doubt> {
        let not = self.not(other)?;
        self.choose(one, not, other)
    }

    /// Where a function that is not false holds: the variables that are true there, all others being false.
    pub(super) fn example(&self, mut node: Node) -> Vec<Node> {
        let mut held = Vec::new();
        while node != Node::TRUE && node != Node::FALSE {
            let (variable, low, high) = self.parts(node);
            if low == Node::FALSE {
                held.extend(self.unique.get(&(variable, Node::FALSE, Node::TRUE)));
                node = high;
            } else {
                node = low;
            }
        }
        held
    }
}
