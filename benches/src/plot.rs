//! All kept results as one page: how figures went from commit to commit. Reads `results/`; measures nothing.
//!
//! The page is `plot.html`, which draws what is put into it; it is complete in itself.

use std::io;
use std::path::Path;

use serde_json::Value;

/// The page of the results in a directory.
///
/// # Errors
/// It cannot be read, or a file in it is no result.
pub fn page(directory: &Path) -> io::Result<String> {
    let mut results = Vec::new();
    for entry in std::fs::read_dir(directory)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let result: Value = serde_json::from_str(&std::fs::read_to_string(&path)?)?;
            if !(result["bench"].is_string() && result["environment"]["date"].is_string()) {
                return Err(io::Error::other(format!("{} is no result", path.display())));
            }
            results.push(result);
        }
    }
    results.sort_by_key(|result| result["environment"]["date"].to_string());
    // Within a script element, `</` would end it.
    let json = Value::from(results).to_string().replace("</", "<\\/");
    Ok(PAGE.replace(PLACE, &json))
}

const PAGE: &str = include_str!("plot.html");

/// Where the results go in the page.
const PLACE: &str = "RESULTS";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::results_directory;

    #[test]
    fn the_committed_results_make_a_page() {
        let page = page(&results_directory()).unwrap();
        let (_, data) = page.split_once("type=\"application/json\">").unwrap();
        let (data, _) = data.split_once("</script>").unwrap();
        let results: Vec<Value> = serde_json::from_str(data).unwrap();
        assert!(results.iter().any(|result| result["bench"] == "million"));
        assert!(!page.contains(PLACE));
    }
}
