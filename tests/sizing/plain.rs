//! The plain form of a session policy, straight from its text: written apart from the engine, to judge it.

/// What stands beside the texts, bytes each.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Form {
    pub element: usize,
    pub list: usize,
    pub length: usize,
}

impl Form {
    pub const ONE_EACH: Form = Form { element: 1, list: 1, length: 1 };
}

/// JSON that keeps its order.
enum Node {
    /// A string, or the text of a number or a boolean.
    Text(String),
    List(Vec<Node>),
    Object(Vec<(String, Node)>),
}

/// The plain form of `policy` and how many statements it has. Elements are numbered from `code` on.
pub fn plain(policy: &str, form: Form, code: u8) -> (Vec<u8>, usize) {
    let mut plain = Plain { form, code, bytes: Vec::new(), statements: 0 };
    let Node::Object(elements) = read(&mut policy.trim()) else { panic!("no object: {policy}") };
    for (name, value) in elements {
        match (name.as_str(), value) {
            ("Statement", Node::List(statements)) => statements.into_iter().for_each(|one| plain.statement(one)),
            ("Statement", one) => plain.statement(one),
            ("Version", value) => plain.element(1, value),
            (_, value) => plain.element(2, value),
        }
    }
    (plain.bytes, plain.statements)
}

/// `policy` without its white space.
pub fn minified(policy: &str) -> String {
    let mut in_text = false;
    let mut before = ' ';
    let kept = policy.chars().filter(|&unit| {
        in_text ^= unit == '"' && before != '\\';
        before = unit;
        in_text || !unit.is_ascii_whitespace()
    });
    kept.collect()
}

struct Plain {
    form: Form,
    code: u8,
    bytes: Vec<u8>,
    statements: usize,
}

impl Plain {
    fn statement(&mut self, statement: Node) {
        const NAMES: [&str; 6] = ["Sid", "Action", "NotAction", "Resource", "NotResource", "Condition"];
        let Node::Object(clauses) = statement else { panic!("a statement that is no object") };
        self.statements += 1;
        self.number(3);
        for (name, value) in clauses {
            match (name.as_str(), value) {
                ("Effect", Node::Text(effect)) => self.number(if effect == "Allow" { 4 } else { 5 }),
                (name, value) => self.element(6 + NAMES.iter().position(|one| *one == name).unwrap() as u8, value),
            }
        }
    }

    fn element(&mut self, number: u8, value: Node) {
        self.number(number);
        self.value(value);
    }

    fn value(&mut self, value: Node) {
        match value {
            Node::Text(text) => self.text(&text),
            Node::List(items) => {
                self.bytes.extend(vec![items.len() as u8; self.form.list]);
                items.into_iter().for_each(|item| self.value(item));
            }
            // Of a condition: the operator, then its keys.
            Node::Object(members) => {
                for (key, value) in members {
                    self.text(&key);
                    self.value(value);
                }
            }
        }
    }

    fn number(&mut self, number: u8) {
        self.bytes.extend(vec![self.code.wrapping_add(number); self.form.element]);
    }

    fn text(&mut self, text: &str) {
        self.bytes.extend(vec![text.len().min(255) as u8; self.form.length]);
        if text.len() > 255 {
            self.bytes.extend((text.len() as u16).to_be_bytes());
        }
        self.bytes.extend(text.as_bytes());
    }
}

/// Reads a value off the front of `rest`, and the white space after it.
fn read(rest: &mut &str) -> Node {
    let skip = |rest: &mut &str, chars: usize| *rest = rest[chars..].trim_start();
    let node = match rest.as_bytes()[0] {
        open @ (b'{' | b'[') => {
            let (mut members, mut items) = (Vec::new(), Vec::new());
            skip(rest, 1);
            while !rest.starts_with(['}', ']']) {
                match (open, read(rest)) {
                    (b'{', Node::Text(key)) => {
                        skip(rest, ":".len());
                        members.push((key, read(rest)));
                    }
                    (_, item) => items.push(item),
                }
                if rest.starts_with(',') {
                    skip(rest, 1);
                }
            }
            skip(rest, 1);
            if open == b'{' { Node::Object(members) } else { Node::List(items) }
        }
        b'"' => {
            let inside = &rest[1..];
            let end = inside.find('"').unwrap();
            let text = inside[..end].to_owned();
            assert!(!text.contains('\\'), "an escape: {text}");
            skip(rest, end + 2);
            Node::Text(text)
        }
        _ => {
            let end = rest.find([',', '}', ']', ' ', '\n']).unwrap();
            let text = rest[..end].to_owned();
            skip(rest, end);
            Node::Text(text)
        }
    };
    *rest = rest.trim_start();
    node
}
