//! docs/PARITY.md and SECURITY.md name tests: they exist.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Every `crate/file::name` in backquotes; the crate is named by its folder.
fn named_tests(table: &str) -> BTreeSet<&str> {
    let quoted = table.lines().flat_map(|line| line.split('`').skip(1).step_by(2));
    quoted.filter(|text| text.contains('/') && text.contains("::")).collect()
}

/// Files of this name anywhere below `directory`.
fn find(directory: &Path, name: &str, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        if path.is_dir() {
            find(&path, name, found);
        } else if path.file_name().is_some_and(|file| file == name) {
            found.push(path);
        }
    }
}

fn exists(root: &Path, test: &str) -> bool {
    let (file, function) = test.split_once("::").expect("it was filtered by that");
    let (directory, file) = file.rsplit_once('/').expect("it was filtered by that");
    let mut files = Vec::new();
    for part in ["src", "tests"] {
        find(&root.join(directory).join(part), &format!("{file}.rs"), &mut files);
    }
    let start = format!("fn {function}(");
    files.iter().any(|file| std::fs::read_to_string(file).is_ok_and(|source| source.contains(&start)))
}

#[test]
fn every_test_in_the_tables_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the crate is in the workspace");
    for (file, count) in [("docs/PARITY.md", 100), ("SECURITY.md", 15)] {
        let table = std::fs::read_to_string(root.join(file)).expect("the table is there");
        let tests = named_tests(&table);
        assert!(tests.len() > count, "only {} tests are named in {file}", tests.len());
        let missing: Vec<_> = tests.into_iter().filter(|test| !exists(root, test)).collect();
        assert!(missing.is_empty(), "{file} names what is not there: {missing:#?}");
    }
}
