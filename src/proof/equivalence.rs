//! Two documents as Boolean functions, compared over every kind of request.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use super::automaton::{self, Class};
use super::diagram::{Diagram, Node};
use super::document::{Document, Kind, Odd, Quantifier, Statement, Test, Value};
use super::evaluate::{self, Request, action_manner, resource_manner, value_manner};
use super::pattern::{self, Piece, Token};
use super::{Actions, Colons, Decision, Doubt, Reading, Witness};

/// Pairs of an action set and a resource set.
const MAX_PAIRS: usize = 400_000;

/// Sets of patterns that a value of one key may match, texts with variables counted in both ways.
const MAX_VALUE_CLASSES: usize = 2_000;

/// Differences for which a request is looked for, before it is left undecided.
const MAX_DIFFERENCES: usize = 24;

/// Requests tried for one difference.
const MAX_REQUESTS: usize = 96;

/// What stands for a variable's value in requests.
const VALUE: &str = "u";

/// A statement, and which documents have it.
struct Entry<'a> {
    statement: &'a Statement,
    before: bool,
    after: bool,
}

/// A request on which the documents decide differently; None where there is none.
pub(super) fn difference(before: &Document, after: &Document, actions: Actions<'_>) -> Result<Option<Witness>, Doubt> {
    if matches!(actions, Actions::Known([])) {
        return Err(Doubt::NoActions);
    }
    let odd = pair_off(before, after)?;
    let mut entries: Vec<Entry<'_>> = Vec::new();
    for (document, is_before) in [(before, true), (after, false)] {
        for statement in &document.statements {
            match entries.iter_mut().find(|entry| entry.statement == statement) {
                Some(entry) if is_before => entry.before = true,
                Some(entry) => entry.after = true,
                None => entries.push(Entry { statement, before: is_before, after: !is_before }),
            }
        }
    }
    if entries.iter().all(|entry| entry.before && entry.after) {
        return Ok(None);
    }
    let readings = readings(&entries);
    let mut stages: Vec<(Colons, Vec<Group>, Vec<Place>)> = Vec::new();
    for &reading in &readings {
        let known = stages.iter().position(|(colons, ..)| *colons == reading.colons);
        if known.is_none() {
            stages.push((reading.colons, action_groups(&entries, reading.colons, actions)?, places(&entries, reading.colons)?));
        }
        let Some((_, groups, places)) = stages.get(known.unwrap_or(stages.len() - 1)) else { continue };
        let functions = Functions::new(&entries, reading)?;
        let search = Search { before, after, entries: &entries, readings: &readings, reading, groups, places };
        match search.run(functions) {
            Ok(None) => {}
            found => {
                return match odd {
                    Some(odd) => Err(Doubt::DiffersBeside(before.side, odd.place.clone(), odd.why.clone())),
                    None => found,
                };
            }
        }
    }
    Ok(None)
}

/// Parts of unknown meaning must be the same in both documents. Their decisions then join both alike: what they deny is denied in both, what they allow is allowed
/// in both. One of them is returned, since no request shows a difference beside it.
fn pair_off<'a>(before: &'a Document, after: &Document) -> Result<Option<&'a Odd>, Doubt> {
    let mut left: Vec<&Odd> = after.odd.iter().collect();
    for odd in &before.odd {
        match left.iter().position(|other| other.json == odd.json) {
            Some(found) => {
                left.swap_remove(found);
            }
            None => return Err(Doubt::Unpaired(before.side, odd.place.clone(), odd.why.clone())),
        }
    }
    if let Some(odd) = left.first() {
        return Err(Doubt::Unpaired(after.side, odd.place.clone(), odd.why.clone()));
    }
    let first = before.odd.first();
    match first {
        Some(odd) if before.variables != after.variables => Err(Doubt::Versions(odd.place.clone(), odd.why.clone())),
        first => Ok(first),
    }
}

/// Every combination of readings that can matter to these statements.
fn readings(entries: &[Entry<'_>]) -> Vec<Reading> {
    let tests = || entries.iter().flat_map(|entry| &entry.statement.tests);
    let arn_patterns = || tests().filter(|test| test.kind == Kind::Arn).flat_map(|test| test.values.iter().map(|value| &value.pieces));
    let depends = |pieces: &Vec<Piece>, manner: fn(Colons) -> pattern::Manner| {
        let [crossed, kept] = [Colons::Crossed, Colons::Kept].map(|colons| pattern::tokens(pieces, manner(colons)));
        crossed != kept
    };
    let arn_manner = |colons| value_manner(Kind::Arn, Reading { colons, arn_any_case: false, void: false, one_fails: false });
    let colons = entries.iter().any(|entry| {
        entry.statement.actions.patterns.iter().any(|pieces| depends(pieces, action_manner))
            || entry.statement.resources.patterns.iter().any(|pieces| depends(pieces, resource_manner))
    }) || arn_patterns().any(|pieces| depends(pieces, arn_manner));
    let arn_case = arn_patterns().flatten().any(|piece| matches!(piece, Piece::Char(character) if character.is_ascii_alphabetic()));
    let void = entries.iter().any(|entry| !entry.statement.variables().is_empty());
    let one_fails = tests().any(|test| test.negated && test.quantifier == Quantifier::Plain);
    let both = |open: bool| if open { [false, true].as_slice() } else { [false].as_slice() };
    let mut readings = Vec::new();
    let all = [Colons::Crossed, Colons::Kept, Colons::CrossedAtEnds];
    for &colons in if colons { all.as_slice() } else { &all[..1] } {
        for &arn_any_case in both(arn_case) {
            for &void in both(void) {
                for &one_fails in both(one_fails) {
                    readings.push(Reading { colons, arn_any_case, void, one_fails });
                }
            }
        }
    }
    readings
}

/// The actions on which the same statements bear.
struct Group {
    /// By number, ascending.
    statements: Vec<usize>,
    example: String,
}

fn action_groups(entries: &[Entry<'_>], colons: Colons, actions: Actions<'_>) -> Result<Vec<Group>, Doubt> {
    let mut numbers: HashMap<&[Piece], usize> = HashMap::new();
    let mut patterns: Vec<Vec<Token>> = Vec::new();
    for pieces in entries.iter().flat_map(|entry| &entry.statement.actions.patterns) {
        numbers.entry(pieces).or_insert_with(|| {
            patterns.push(pattern::tokens(pieces, action_manner(colons)));
            patterns.len() - 1
        });
    }
    let classes = match actions {
        Actions::Any => automaton::classes(&patterns, "combinations of action patterns")?,
        Actions::Known(names) => known_classes(&patterns, names),
    };
    let mut groups: Vec<Group> = Vec::new();
    let mut seen: HashMap<Vec<usize>, usize> = HashMap::new();
    for class in classes {
        let bears = |entry: &Entry<'_>| {
            let actions = &entry.statement.actions;
            actions.patterns.iter().any(|pieces| holds(&class, numbers.get(pieces.as_slice()))) != actions.negated
        };
        let statements: Vec<usize> = entries.iter().enumerate().filter(|(_, entry)| bears(entry)).map(|(number, _)| number).collect();
        match seen.get(&statements).and_then(|&group| groups.get_mut(group)) {
            Some(group) if class.example.contains(':') && !group.example.contains(':') => group.example = class.example,
            Some(_) => {}
            None => {
                seen.insert(statements.clone(), groups.len());
                groups.push(Group { statements, example: class.example });
            }
        }
    }
    Ok(groups)
}

fn holds(class: &Class, pattern: Option<&usize>) -> bool {
    pattern.is_some_and(|pattern| class.matched.binary_search(pattern).is_ok())
}

/// The sets of patterns that known actions match.
fn known_classes(patterns: &[Vec<Token>], names: &[String]) -> Vec<Class> {
    // Most names are told from most patterns by their first letter.
    let mut by_first: Vec<Vec<usize>> = vec![Vec::new(); 128];
    for (number, pattern) in patterns.iter().enumerate() {
        for (first, numbers) in by_first.iter_mut().enumerate() {
            let first = char::from_u32(first as u32).unwrap_or_default();
            match pattern.first() {
                Some(token @ Token::Char { .. }) if !token.takes(first) => {}
                _ => numbers.push(number),
            }
        }
    }
    let every: Vec<usize> = (0..patterns.len()).collect();
    let mut classes: Vec<Class> = Vec::new();
    let mut seen: HashSet<Vec<usize>> = HashSet::new();
    let mut matched = Vec::new();
    for name in names {
        matched.clear();
        let candidates = name.as_bytes().first().and_then(|&first| by_first.get(usize::from(first))).unwrap_or(&every);
        matched.extend(
            candidates.iter().copied().filter(|&number| patterns.get(number).is_some_and(|pattern| pattern::matches(pattern, name))),
        );
        if !seen.contains(&matched) {
            seen.insert(matched.clone());
            classes.push(Class { matched: matched.clone(), example: name.clone() });
        }
    }
    classes
}

/// The resources on which the same statements bear, under the same variables.
struct Place {
    statements: Vec<Bearing>,
    example: String,
}

/// Whether a resource element holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Bearing {
    Always,
    Never,
    /// Where one of these texts with variables matches, or none does.
    Depends {
        negated: bool,
        patterns: Vec<Vec<Piece>>,
    },
}

fn places(entries: &[Entry<'_>], colons: Colons) -> Result<Vec<Place>, Doubt> {
    let mut numbers: HashMap<&[Piece], usize> = HashMap::new();
    let mut patterns: Vec<Vec<Token>> = Vec::new();
    for pieces in entries.iter().flat_map(|entry| &entry.statement.resources.patterns) {
        numbers.entry(pieces).or_insert_with(|| {
            patterns.push(pattern::tokens(pieces, resource_manner(colons)));
            patterns.len() - 1
        });
    }
    let mut places: Vec<Place> = Vec::new();
    let mut seen: HashMap<Vec<Bearing>, usize> = HashMap::new();
    for class in automaton::classes(&patterns, "combinations of resource patterns")? {
        let bearing = |entry: &Entry<'_>| {
            let resources = &entry.statement.resources;
            let matched = || resources.patterns.iter().filter(|pieces| holds(&class, numbers.get(pieces.as_slice())));
            let negated = resources.negated;
            if matched().any(|pieces| !pattern::is_variable(pieces)) {
                return if negated { Bearing::Never } else { Bearing::Always };
            }
            let mut patterns: Vec<Vec<Piece>> = matched().cloned().collect();
            patterns.sort_unstable();
            match (patterns.is_empty(), negated) {
                (true, true) => Bearing::Always,
                (true, false) => Bearing::Never,
                (false, negated) => Bearing::Depends { negated, patterns },
            }
        };
        let statements: Vec<Bearing> = entries.iter().map(bearing).collect();
        match seen.get(&statements).and_then(|&place| places.get_mut(place)) {
            Some(place) if class.example.contains(':') && !place.example.contains(':') => place.example = class.example,
            Some(_) => {}
            None => {
                seen.insert(statements.clone(), places.len());
                places.push(Place { statements, example: class.example });
            }
        }
    }
    Ok(places)
}

/// What a request can be about one condition key.
#[derive(Default)]
struct Key<'a> {
    written: &'a str,
    /// Each by its kind and pieces; by number.
    patterns: Vec<(Kind, &'a [Piece])>,
    /// What one value can match, with the variable that some value does.
    classes: Vec<(Class, Node)>,
    /// Operators with values of unknown order, with the variable that some value fulfils them.
    atoms: BTreeMap<(Kind, &'a Value), Node>,
    /// The same for fulfilling none of several.
    others: BTreeMap<(Kind, &'a [Value]), Node>,
    present: Option<Node>,
    null: Option<Node>,
}

/// Combinations of a key's variables, or of all keys'.
#[derive(Clone, Copy)]
struct Layout {
    /// Those that a context can have.
    possible: Node,
    /// Those where nothing is open about presence: a key is absent, or has a value and is not null.
    plain: Node,
    /// Those where a key has at most one value.
    single: Node,
}

/// The conditions of all statements as functions, under one reading.
struct Functions<'a> {
    diagram: Diagram,
    keys: BTreeMap<&'a str, Key<'a>>,
    /// That a variable has a value, by its key.
    resolved: BTreeMap<&'a str, Node>,
    /// That the resource matches a text with variables.
    resources: BTreeMap<&'a [Piece], Node>,
    layout: Layout,
    /// By statement.
    conditions: Vec<Node>,
}

impl<'a> Functions<'a> {
    fn new(entries: &[Entry<'a>], reading: Reading) -> Result<Functions<'a>, Doubt> {
        let mut functions = Functions {
            diagram: Diagram::new(),
            keys: BTreeMap::new(),
            resolved: BTreeMap::new(),
            resources: BTreeMap::new(),
            layout: Layout { possible: Node::TRUE, plain: Node::TRUE, single: Node::TRUE },
            conditions: Vec::new(),
        };
        for entry in entries {
            let statement: &'a Statement = entry.statement;
            for key in statement.variables() {
                if reading.void && !functions.resolved.contains_key(key) {
                    functions.resolved.insert(key, functions.diagram.variable()?);
                }
            }
            for pieces in statement.resources.patterns.iter().filter(|pieces| pattern::is_variable(pieces)) {
                if !functions.resources.contains_key(pieces.as_slice()) {
                    functions.resources.insert(pieces, functions.diagram.variable()?);
                }
            }
            for test in &statement.tests {
                let key = functions.keys.entry(&test.key).or_default();
                key.written = if key.written.is_empty() { &test.written } else { key.written };
                key.gather(test);
            }
        }
        for key in functions.keys.values_mut() {
            let one = key.lay_out(&mut functions.diagram, reading)?;
            let (all, diagram) = (&mut functions.layout, &mut functions.diagram);
            all.possible = diagram.and(all.possible, one.possible)?;
            all.plain = diagram.and(all.plain, one.plain)?;
            all.single = diagram.and(all.single, one.single)?;
        }
        for entry in entries {
            let mut condition = Node::TRUE;
            if reading.void {
                for key in entry.statement.variables() {
                    let resolved = functions.resolved.get(key).copied().unwrap_or(Node::TRUE);
                    condition = functions.diagram.and(condition, resolved)?;
                }
            }
            for test in &entry.statement.tests {
                if let Some(key) = functions.keys.get(test.key.as_str()) {
                    let holds = key.test(test, &mut functions.diagram, reading)?;
                    condition = functions.diagram.and(condition, holds)?;
                }
            }
            functions.conditions.push(condition);
        }
        Ok(functions)
    }

    /// Where a statement bears on a resource and its conditions hold.
    fn applies(&mut self, statement: usize, bearing: &Bearing) -> Result<Node, Doubt> {
        let condition = self.conditions.get(statement).copied().unwrap_or(Node::FALSE);
        match bearing {
            Bearing::Always => Ok(condition),
            Bearing::Never => Ok(Node::FALSE),
            Bearing::Depends { negated, patterns } => {
                let mut matches = Node::FALSE;
                for pieces in patterns {
                    let one = self.resources.get(pieces.as_slice()).copied().unwrap_or(Node::FALSE);
                    matches = self.diagram.or(matches, one)?;
                }
                let bears = if *negated { self.diagram.not(matches)? } else { matches };
                self.diagram.and(bears, condition)
            }
        }
    }
}

impl<'a> Key<'a> {
    fn gather(&mut self, test: &'a Test) {
        match test.kind {
            Kind::Equals | Kind::Like | Kind::Arn => {
                for value in &test.values {
                    let pattern = (test.kind, value.pieces.as_slice());
                    if !self.patterns.contains(&pattern) {
                        self.patterns.push(pattern);
                    }
                }
            }
            Kind::Null => {}
            Kind::Other(_) => {
                for value in &test.values {
                    self.atoms.insert((test.kind, value), Node::FALSE);
                }
                self.others.insert((test.kind, test.values.as_slice()), Node::FALSE);
            }
        }
    }

    /// Gives everything its variable, and says which combinations of them there are.
    fn lay_out(&mut self, diagram: &mut Diagram, reading: Reading) -> Result<Layout, Doubt> {
        // The first example of a function has all variables false: the key absent.
        let not_null = diagram.variable()?;
        let (null, present) = (diagram.not(not_null)?, diagram.variable()?);
        (self.null, self.present) = (Some(null), Some(present));
        let (mut values, mut empty) = (Vec::new(), Vec::new());
        if !self.patterns.is_empty() {
            let tokens: Vec<Vec<Token>> =
                self.patterns.iter().map(|(kind, pieces)| pattern::tokens(pieces, value_manner(*kind, reading))).collect();
            // The empty text is a class of its own, since it may count as no value.
            let of_empty = tokens.iter().enumerate().filter(|(_, tokens)| pattern::matches(tokens, "")).map(|(number, _)| number).collect();
            let mut found = automaton::classes(&tokens, "combinations of values in conditions")?;
            found.retain(|class| !class.example.is_empty());
            found.push(Class { matched: of_empty, example: String::new() });
            let mut classes = Vec::new();
            for class in found {
                // A text that has a variable may match or not, wherever it would with a `*` in its place.
                let (free, sure): (Vec<usize>, Vec<usize>) = class
                    .matched
                    .iter()
                    .partition(|&&number| self.patterns.get(number).is_some_and(|(_, pieces)| pattern::is_variable(pieces)));
                if free.len() > 8 || classes.len() > MAX_VALUE_CLASSES {
                    return Err(Doubt::TooMany("values in conditions"));
                }
                for chosen in 0..1u32 << free.len() {
                    let picked = free.iter().enumerate().filter(|(place, _)| chosen >> place & 1 == 1).map(|(_, &number)| number);
                    let mut matched: Vec<usize> = sure.iter().copied().chain(picked).collect();
                    matched.sort_unstable();
                    classes.push(Class { matched, example: class.example.clone() });
                }
            }
            // Equal sets are one, whichever class of texts they come from.
            let mut seen = HashSet::new();
            classes.retain(|class| seen.insert((class.matched.clone(), class.example.is_empty())));
            for class in classes {
                let variable = diagram.variable()?;
                if class.example.is_empty() { &mut empty } else { &mut values }.push(variable);
                self.classes.push((class, variable));
            }
        }
        // What these operators make of the empty text is not known.
        for variable in self.atoms.values_mut().chain(self.others.values_mut()) {
            *variable = diagram.variable()?;
            empty.push(*variable);
        }
        let no_value = none_of(&values, diagram)?;
        let no_empty = none_of(&empty, diagram)?;
        let nothing = diagram.and(no_value, no_empty)?;
        // A null key has no value but perhaps the empty one; an absent key is null and has none. Whether a key without values is null or absent is left open.
        let without = diagram.choose(null, no_value, Node::TRUE)?;
        let absent = diagram.and(null, nothing)?;
        let possible = diagram.choose(present, without, absent)?;
        let something = if self.atoms.is_empty() && self.classes.is_empty() { Node::TRUE } else { diagram.not(nothing)? };
        let something = diagram.and(not_null, something)?;
        let plain = diagram.choose(present, something, absent)?;
        // No value or one, of those told apart by their texts.
        let (mut none, mut single) = (Node::TRUE, Node::TRUE);
        for (_, variable) in self.classes.iter().rev() {
            single = diagram.choose(*variable, none, single)?;
            none = diagram.choose(*variable, Node::FALSE, none)?;
        }
        Ok(Layout { possible, plain, single })
    }

    /// Where a test of this key holds.
    fn test(&self, test: &Test, diagram: &mut Diagram, reading: Reading) -> Result<Node, Doubt> {
        let (Some(null), Some(present)) = (self.null, self.present) else { return Ok(Node::FALSE) };
        if test.kind == Kind::Null {
            let expected = test.values.first().is_some_and(|value| value.text == "true");
            return if expected { Ok(null) } else { diagram.not(null) };
        }
        // Some value matches; some value matches none.
        let (mut matched, mut failed) = (Node::FALSE, Node::FALSE);
        if let Kind::Other(_) = test.kind {
            for value in &test.values {
                let one = self.atoms.get(&(test.kind, value)).copied().unwrap_or(Node::FALSE);
                matched = diagram.or(matched, one)?;
            }
            failed = self.others.get(&(test.kind, test.values.as_slice())).copied().unwrap_or(Node::FALSE);
        } else {
            let wanted: BTreeSet<usize> = test
                .values
                .iter()
                .filter_map(|value| self.patterns.iter().position(|pattern| *pattern == (test.kind, value.pieces.as_slice())))
                .collect();
            for (class, variable) in self.classes.iter().rev() {
                let side = if class.matched.iter().any(|number| wanted.contains(number)) { &mut matched } else { &mut failed };
                *side = diagram.or(*variable, *side)?;
            }
        }
        let absent = diagram.not(present)?;
        let holds = match (test.quantifier, test.negated) {
            (Quantifier::Plain | Quantifier::AnyValue, false) => matched,
            (Quantifier::Plain, true) if reading.one_fails => diagram.or(failed, absent)?,
            (Quantifier::AnyValue, true) => failed,
            (Quantifier::Plain, true) => diagram.not(matched)?,
            // True as well where "the context key value resolves to a null dataset, such as an empty string".
            (Quantifier::AllValues, negated) => {
                let fails = if negated { matched } else { failed };
                diagram.choose(fails, null, Node::TRUE)?
            }
        };
        if test.if_exists { diagram.or(absent, holds) } else { Ok(holds) }
    }
}

/// Where none of these variables is true.
fn none_of(variables: &[Node], diagram: &mut Diagram) -> Result<Node, Doubt> {
    let mut none = Node::TRUE;
    for &variable in variables.iter().rev() {
        none = diagram.choose(variable, Node::FALSE, none)?;
    }
    Ok(none)
}

/// The search for a difference under one reading.
struct Search<'s, 'a> {
    before: &'s Document,
    after: &'s Document,
    entries: &'s [Entry<'a>],
    readings: &'s [Reading],
    reading: Reading,
    groups: &'s [Group],
    places: &'s [Place],
}

impl Search<'_, '_> {
    fn run(&self, mut functions: Functions<'_>) -> Result<Option<Witness>, Doubt> {
        if self.groups.len().saturating_mul(self.places.len()) > MAX_PAIRS {
            return Err(Doubt::TooMany("pairs of actions and resources"));
        }
        let mut compared: HashSet<Vec<(usize, Node)>> = HashSet::new();
        let mut doubt = None;
        let mut differences = 0;
        for place in self.places {
            let mut applies = Vec::with_capacity(self.entries.len());
            for (statement, bearing) in place.statements.iter().enumerate() {
                applies.push(functions.applies(statement, bearing)?);
            }
            for group in self.groups {
                let bearing: Vec<(usize, Node)> = group
                    .statements
                    .iter()
                    .filter_map(|&statement| applies.get(statement).map(|&node| (statement, node)))
                    .filter(|(_, node)| *node != Node::FALSE)
                    .collect();
                let changed =
                    |(statement, _): &(usize, Node)| self.entries.get(*statement).is_some_and(|entry| entry.before != entry.after);
                if !bearing.iter().any(changed) || compared.contains(&bearing) {
                    continue;
                }
                let differ = self.differ(&mut functions, &bearing)?;
                if differ == Node::FALSE {
                    compared.insert(bearing);
                    continue;
                }
                let plain = functions.diagram.and(differ, functions.layout.plain)?;
                let single = functions.diagram.and(plain, functions.layout.single)?;
                for narrowed in [single, plain] {
                    if narrowed != Node::FALSE
                        && let Some(witness) = self.witness(&functions, narrowed, group, place)
                    {
                        return Ok(Some(witness));
                    }
                }
                doubt.get_or_insert_with(|| Doubt::Unconfirmed {
                    action: group.example.clone(),
                    resource: place.example.clone(),
                    reading: self.reading,
                });
                compared.insert(bearing);
                differences += 1;
                if differences >= MAX_DIFFERENCES {
                    break;
                }
            }
        }
        doubt.map_or(Ok(None), Err)
    }

    /// In which contexts the documents decide differently.
    fn differ(&self, functions: &mut Functions<'_>, bearing: &[(usize, Node)]) -> Result<Node, Doubt> {
        let diagram = &mut functions.diagram;
        // Denied and allowed, before and after.
        let mut denied = [Node::FALSE; 2];
        let mut allowed = [Node::FALSE; 2];
        for &(statement, node) in bearing {
            let Some(entry) = self.entries.get(statement) else { continue };
            let sides = if entry.statement.deny { &mut denied } else { &mut allowed };
            for (side, has) in sides.iter_mut().zip([entry.before, entry.after]) {
                if has {
                    *side = diagram.or(*side, node)?;
                }
            }
        }
        let [denied_before, denied_after] = denied;
        let mut differ = diagram.differ(denied_before, denied_after)?;
        for (allowed, denied) in allowed.iter_mut().zip(denied) {
            *allowed = diagram.choose(denied, Node::FALSE, *allowed)?;
        }
        let [allowed_before, allowed_after] = allowed;
        let granted = diagram.differ(allowed_before, allowed_after)?;
        differ = diagram.or(differ, granted)?;
        diagram.and(differ, functions.layout.possible)
    }

    /// A request in which a difference shows under every reading, if one is found.
    fn witness(&self, functions: &Functions<'_>, differ: Node, group: &Group, place: &Place) -> Option<Witness> {
        let held: HashSet<Node> = functions.diagram.example(differ).into_iter().collect();
        let mut resources = vec![place.example.clone()];
        for (pieces, node) in &functions.resources {
            if held.contains(node) {
                resources.insert(0, instance(pieces));
            }
        }
        let mut states: BTreeMap<&str, Vec<Option<Vec<String>>>> = BTreeMap::new();
        for (name, key) in &functions.keys {
            states.insert(name, key.states(&held));
        }
        for key in self.entries.iter().flat_map(|entry| entry.statement.variables()) {
            let states = states.entry(key).or_default();
            states.insert(0, Some(vec![VALUE.to_owned()]));
            if !states.contains(&None) {
                states.push(None);
            }
        }
        let mut tried = 0;
        for resource in &resources {
            // All combinations of states, the last key's changing first.
            let mut chosen: Vec<usize> = vec![0; states.len()];
            loop {
                let context: Vec<(String, Vec<String>)> = states
                    .iter()
                    .zip(&chosen)
                    .filter_map(|((key, states), &state)| Some(((*key).to_owned(), states.get(state)?.clone()?)))
                    .collect();
                if let Some((before, after)) = self.confirm(&group.example, resource, &context) {
                    let context = context.into_iter().map(|(key, values)| (written(functions, key), values)).collect();
                    return Some(Witness { action: group.example.clone(), resource: resource.clone(), context, before, after });
                }
                tried += 1;
                if tried >= MAX_REQUESTS {
                    return None;
                }
                let mut advanced = false;
                for (state, states) in chosen.iter_mut().zip(states.values()).rev() {
                    if *state + 1 < states.len() {
                        *state += 1;
                        advanced = true;
                        break;
                    }
                    *state = 0;
                }
                if !advanced {
                    break;
                }
            }
        }
        None
    }

    /// The decisions on a request, if they differ under every reading.
    fn confirm(&self, action: &str, resource: &str, context: &[(String, Vec<String>)]) -> Option<(Decision, Decision)> {
        let request = Request { action, resource, context };
        let mut first = None;
        for &reading in std::iter::once(&self.reading).chain(self.readings) {
            let before = evaluate::decide(self.before, &request, reading)?;
            let after = evaluate::decide(self.after, &request, reading)?;
            if before == after {
                return None;
            }
            if self.readings.first() == Some(&reading) {
                first.get_or_insert((before, after));
            }
        }
        first
    }
}

/// A key as a policy writes it.
fn written(functions: &Functions<'_>, key: String) -> String {
    functions.keys.get(key.as_str()).map_or(key, |key| key.written.to_owned())
}

/// A text that a pattern matches where each variable is [`VALUE`].
fn instance(pieces: &[Piece]) -> String {
    let mut text = String::new();
    for piece in pieces {
        match piece {
            Piece::Char(character) => text.push(*character),
            Piece::One => text.push('x'),
            Piece::Many => {}
            Piece::Variable { default: Some(default), .. } => text.push_str(default),
            Piece::Variable { default: None, .. } => text.push_str(VALUE),
        }
    }
    text
}

impl Key<'_> {
    /// States of this key that may be those of a combination of variables, likeliest first.
    fn states(&self, held: &HashSet<Node>) -> Vec<Option<Vec<String>>> {
        if !self.present.is_some_and(|present| held.contains(&present)) {
            return vec![None];
        }
        let classes = || self.classes.iter().filter(|(_, variable)| held.contains(variable));
        let sure: Vec<String> = classes().map(|(class, _)| class.example.clone()).collect();
        let mut states: Vec<Vec<String>> = Vec::new();
        // Texts with variables, filled in.
        let filled: Vec<String> = classes()
            .map(|(class, _)| {
                let pieces =
                    class.matched.iter().filter_map(|&number| self.patterns.get(number)).find(|(_, pieces)| pattern::is_variable(pieces));
                pieces.map_or_else(|| class.example.clone(), |(_, pieces)| instance(pieces))
            })
            .collect();
        if filled != sure {
            states.push(filled);
        }
        let mut near: Vec<String> = Vec::new();
        for (kind, value) in self.atoms.keys() {
            near.extend(neighbours(*kind, &value.text));
        }
        let true_atoms = self.atoms.iter().filter(|(_, node)| held.contains(node)).map(|((_, value), _)| value.text.clone());
        let mut together = sure.clone();
        together.extend(true_atoms);
        if together.is_empty() {
            together.push(VALUE.to_owned());
        }
        states.push(together);
        for text in near {
            states.push(vec![text.clone()]);
            if !sure.is_empty() {
                states.push(sure.iter().cloned().chain([text]).collect());
            }
        }
        let mut seen = HashSet::new();
        states.retain(|state| seen.insert(state.clone()));
        states.into_iter().map(Some).collect()
    }
}

/// Values at which an operator with this value may change.
fn neighbours(kind: Kind, text: &str) -> Vec<String> {
    let mut near = vec![text.to_owned()];
    let Kind::Other(name) = kind else { return near };
    if let Ok(number) = text.parse::<i32>() {
        near.extend([number.saturating_add(1).to_string(), number.saturating_sub(1).to_string()]);
    }
    if name == "Bool" {
        near.extend(["true".to_owned(), "false".to_owned()]);
    } else if name == "IpAddress" {
        near.extend(text.split('/').next().map(str::to_owned));
        near.extend(["192.0.2.1".to_owned(), "198.51.100.1".to_owned()]);
    } else if name.starts_with("Date") {
        near.extend(["1970-01-01T00:00:00Z".to_owned(), "2100-01-01T00:00:00Z".to_owned()]);
    } else if name == "StringEqualsIgnoreCase" {
        near.push("other".to_owned());
    }
    near
}
