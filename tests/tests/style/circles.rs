//! Circles between the modules of a crate. Two modules below the same parent are in a circle where each one names something of
//! the other, directly or through others. A module and its own parent may know each other.

use std::collections::{BTreeMap, BTreeSet};

use crate::sources::{self, Source, code_only};

/// Path of a module below its crate's root, such as `["window", "segment"]`.
type Path = Vec<String>;

/// A name that a module takes from somewhere.
#[derive(Debug, PartialEq)]
struct Import {
    path: Path,
    /// Name by which other modules can take it from here.
    shown_as: Option<String>,
}

/// Modules of one crate with what they import; tests are none.
#[derive(Default)]
struct Modules(BTreeMap<Path, Vec<Import>>);

impl Modules {
    fn read(files: &[(Path, &str)]) -> Self {
        let mut modules = Self::default();
        let mut tests = BTreeSet::new();
        for (path, text) in files {
            let code = code_only(text);
            let mut parser = Parser { tokens: tokens(&code), at: 0, tests: Vec::new(), imports: Vec::new() };
            parser.read_file();
            tests.extend(parser.tests.into_iter().map(|name| below(path, &name)));
            modules.0.insert(path.clone(), parser.imports);
        }
        modules.0.retain(|path, _| !tests.iter().any(|test| path.starts_with(test)));
        modules
    }

    /// Module that holds the item which `path` names in the module `from`.
    fn resolve(&self, from: &Path, path: &[String], depth: usize) -> Option<Path> {
        let (first, mut rest) = path.split_first()?;
        let mut module = match first.as_str() {
            "crate" => Path::new(),
            "self" => from.clone(),
            "super" => parent(from)?,
            name if self.0.contains_key(&below(from, name)) => below(from, name),
            _ => return None,
        };
        while let Some((name, behind)) = rest.split_first() {
            if name == "super" {
                module = parent(&module)?;
            } else if self.0.contains_key(&below(&module, name)) {
                module = below(&module, name);
            } else {
                let shown = |import: &&Import| import.shown_as.as_ref() == Some(name);
                // A name that leads to itself is one of another crate.
                let import = self.0[&module].iter().find(shown).filter(|_| depth < 8);
                return import
                    .and_then(|import| self.resolve(&module, &import.path, depth + 1))
                    .or(Some(module));
            }
            rest = behind;
        }
        Some(module)
    }

    /// For each parent, the arrows between its children, each with an example.
    fn arrows(&self) -> BTreeMap<Path, BTreeMap<(String, String), String>> {
        let mut arrows: BTreeMap<Path, BTreeMap<_, _>> = BTreeMap::new();
        for (from, imports) in &self.0 {
            for import in imports {
                let Some(to) = self.resolve(from, &import.path, 0) else { continue };
                let shared = from.iter().zip(&to).take_while(|(one, other)| one == other).count();
                if let (Some(one), Some(other)) = (from.get(shared), to.get(shared)) {
                    let example = format!("{} names {}", from.join("::"), import.path.join("::"));
                    let level = arrows.entry(from[..shared].to_vec()).or_default();
                    level.entry((one.clone(), other.clone())).or_insert(example);
                }
            }
        }
        arrows
    }
}

fn below(parent: &[String], name: &str) -> Path {
    parent.iter().cloned().chain([name.to_owned()]).collect()
}

fn parent(module: &Path) -> Option<Path> {
    module.split_last().map(|(_, parent)| parent.to_vec())
}

/// Groups of modules in which each one reaches each other one.
fn circles(arrows: &BTreeMap<(String, String), String>) -> BTreeSet<BTreeSet<String>> {
    let reached = |from: &String| {
        let mut found = BTreeSet::new();
        let mut waiting = vec![from];
        while let Some(module) = waiting.pop() {
            for (_, to) in arrows.keys().filter(|(one, _)| one == module) {
                if found.insert(to.clone()) {
                    waiting.push(to);
                }
            }
        }
        found
    };
    let all: BTreeMap<&String, _> = arrows.keys().map(|(from, _)| (from, reached(from))).collect();
    let circle = |(from, reached): (&&String, &BTreeSet<String>)| {
        let back = |to: &&String| all.get(to).is_some_and(|back| back.contains(*from));
        let members: BTreeSet<String> = reached.iter().filter(back).cloned().collect();
        (members.len() > 1).then_some(members)
    };
    all.iter().filter_map(circle).collect()
}

/// Reader of one file's imports, and of the paths that stand in its code.
struct Parser<'a> {
    tokens: Vec<&'a str>,
    at: usize,
    /// Modules of tests.
    tests: Vec<String>,
    imports: Vec<Import>,
}

impl<'a> Parser<'a> {
    fn read_file(&mut self) {
        let mut is_test = false;
        let mut is_public = false;
        while let Some(token) = self.next() {
            match token {
                "#" if self.follows(&["[", "cfg", "(", "test", ")", "]"]) => is_test = true,
                "mod" if is_test => self.skip_test_module(),
                "pub" => is_public = true,
                // `use<'_>` is a bound, not an import.
                "use" if self.peek() != "<" => self.read_use(&Path::new(), is_public),
                "crate" | "super" | "self" if self.peek() == "::" => self.read_path(token),
                _ => {}
            }
            if ["mod", "use", "fn", "struct", "enum", "impl", ";", "}"].contains(&token) {
                is_test = false;
                is_public = false;
            }
        }
    }

    fn next(&mut self) -> Option<&'a str> {
        let token = self.tokens.get(self.at).copied();
        self.at += 1;
        token
    }

    fn peek(&self) -> &'a str {
        self.tokens.get(self.at).copied().unwrap_or_default()
    }

    fn follows(&self, expected: &[&str]) -> bool {
        self.tokens.get(self.at..self.at + expected.len()) == Some(expected)
    }

    /// Passes over `name;` or `name { … }`.
    fn skip_test_module(&mut self) {
        let name = self.next().unwrap_or_default().to_owned();
        self.tests.push(name);
        let mut depth = 0;
        while let Some(token) = self.next() {
            match token {
                ";" if depth == 0 => return,
                "{" => depth += 1,
                "}" if depth == 1 => return,
                "}" => depth -= 1,
                _ => {}
            }
        }
    }

    /// Reads a tree of imports up to the `;`, `,` or `}` behind it.
    fn read_use(&mut self, prefix: &Path, is_public: bool) {
        let mut path = prefix.clone();
        let mut shown_as = None;
        loop {
            match self.peek() {
                "" | ";" | "," | "}" => break,
                "{" => {
                    self.at += 1;
                    while !["", "}"].contains(&self.peek()) {
                        self.read_use(&path, is_public);
                        if self.peek() == "," {
                            self.at += 1;
                        }
                    }
                    self.at += 1;
                    return;
                }
                "as" => {
                    self.at += 1;
                    shown_as = self.next().map(str::to_owned);
                }
                "::" => self.at += 1,
                // `use a::{self}` is `use a`.
                "self" if !path.is_empty() => self.at += 1,
                name => {
                    path.push(name.to_owned());
                    self.at += 1;
                }
            }
        }
        let shown_as = shown_as.or_else(|| path.last().cloned()).filter(|_| is_public);
        self.imports.push(Import { path, shown_as });
    }

    /// Reads a path that begins in the crate, in the midst of code.
    fn read_path(&mut self, first: &str) {
        let mut path = vec![first.to_owned()];
        while self.peek() == "::" {
            self.at += 1;
            let is_name = self.peek().starts_with(|char: char| char.is_alphabetic() || char == '_');
            if !is_name {
                break;
            }
            path.extend(self.next().map(str::to_owned));
        }
        self.imports.push(Import { path, shown_as: None });
    }
}

/// Words, `::`, and other signs one by one.
fn tokens(code: &str) -> Vec<&str> {
    let mut tokens = Vec::new();
    let mut rest = code.trim_start();
    while let Some(first) = rest.chars().next() {
        let is_word = |char: char| char.is_alphanumeric() || char == '_';
        let length = if rest.starts_with("::") {
            2
        } else if is_word(first) {
            rest.find(|char| !is_word(char)).unwrap_or(rest.len())
        } else {
            first.len_utf8()
        };
        tokens.push(&rest[..length]);
        rest = rest[length..].trim_start();
    }
    tokens
}

/// Modules of each crate: those of its library, or of its executable where it is none.
fn crates(sources: &[Source]) -> BTreeMap<String, Modules> {
    let mut files: BTreeMap<String, Vec<(Path, &str)>> = BTreeMap::new();
    let is_library =
        |name: &str| sources.iter().any(|source| source.path == format!("crates/{name}/src/lib.rs"));
    for source in sources.iter().filter(|source| source.is_shipped()) {
        let name = source.crate_name();
        let file = source.path.split_once("/src/").map_or("", |(_, file)| file);
        if file.starts_with("bin/") || (file == "main.rs" && is_library(name)) {
            continue;
        }
        let module = file.trim_end_matches(".rs").trim_end_matches("/mod");
        let path = match module {
            "lib" | "main" => Path::new(),
            module => module.split('/').map(str::to_owned).collect(),
        };
        files.entry(name.to_owned()).or_default().push((path, &source.text));
    }
    files.into_iter().map(|(name, files)| (name, Modules::read(&files))).collect()
}

#[test]
fn modules_know_each_other_one_way_only() {
    let mut found = Vec::new();
    for (name, modules) in crates(&sources::all()) {
        for (parent, arrows) in modules.arrows() {
            let parent = parent.join("::");
            for circle in circles(&arrows) {
                let inside = |(from, to): &&(String, String)| circle.contains(from) && circle.contains(to);
                let arrows: Vec<_> = arrows.keys().filter(inside).map(|arrow| &*arrows[arrow]).collect();
                found.push(format!("{name}, below {parent:?}: {circle:?}\n  {}", arrows.join("\n  ")));
            }
        }
    }
    assert!(found.is_empty(), "circles of modules:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_found_through_imports_paths_and_exports() {
    let path =
        |text: &str| text.split("::").filter(|name| !name.is_empty()).map(str::to_owned).collect::<Path>();
    let modules = Modules::read(&[
        (path(""), "mod a; mod b; mod c; pub use b::{Thing as Other, deep::*};"),
        (path("a"), "use std::a; use crate::{Other, c::{self, X}}; #[cfg(test)] mod tests { use crate::d; }"),
        (path("b"), "use self::deep::Y; fn f() -> super::c::X { } // crate::a"),
        (path("b::deep"), "use super::Z;"),
        (path("c"), "fn f() { crate::a::g() } #[cfg(test)] mod tests;"),
        (path("c::tests"), "use crate::b;"),
        (path("d"), "use crate::a;"),
    ]);
    let arrows = modules.arrows();
    let root = &arrows[&Path::new()];
    let between: Vec<_> = root.keys().map(|(from, to)| format!("{from}{to}")).collect();
    assert_eq!(between, ["ab", "ac", "bc", "ca", "da"]);
    assert_eq!(circles(root).into_iter().map(Vec::from_iter).collect::<Vec<_>>(), [["a", "b", "c"]]);
}
