//! The dashboard: one document, with style and script in it, that loads nothing and holds no data.

use axum::http::{HeaderName, header};
use axum::response::{Html, IntoResponse, Response};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest, Sha256};

/// The document, and what may run in it.
#[derive(Debug)]
pub(crate) struct Page {
    document: String,
    /// The `Content-Security-Policy`.
    policy: String,
}

impl Page {
    pub(crate) fn dashboard() -> Page {
        let document = include_str!("../page/index.html")
            .replace("{{style}}", include_str!("../page/style.css"))
            .replace("{{script}}", SCRIPT);
        Page::new(document)
    }

    fn new(document: String) -> Page {
        let [styles, scripts] = ["style", "script"].map(|tag| hashes(&document, tag));
        // Of this address it gets its data, and nothing runs but what is in it.
        let policy = format!(
            "default-src 'none'; connect-src 'self'; img-src data:; style-src {styles}; script-src {scripts}; \
             base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        );
        Page { document, policy }
    }

    /// Anybody may have it.
    pub(crate) fn answer(&self) -> Response {
        let policy = [(header::CONTENT_SECURITY_POLICY, self.policy.as_str())];
        (policy, Html(self.document.clone())).into_response()
    }
}

/// The sources that a policy allows for all elements of a name in a document: their hashes.
fn hashes(document: &str, tag: &str) -> String {
    let (begin, end) = (format!("<{tag}>"), format!("</{tag}>"));
    let contents = document.split(&begin).skip(1).filter_map(|rest| rest.split(&end).next());
    let sources: Vec<String> =
        contents.map(|content| format!("'sha256-{}'", STANDARD.encode(Sha256::digest(content)))).collect();
    if sources.is_empty() { "'none'".to_owned() } else { sources.join(" ") }
}

/// The parts of the script; `main` begins, when all others are there.
const SCRIPT: &str = concat!(
    include_str!("../page/format.js"),
    include_str!("../page/history.js"),
    include_str!("../page/advice.js"),
    include_str!("../page/dom.js"),
    include_str!("../page/plot.js"),
    include_str!("../page/overview.js"),
    include_str!("../page/members.js"),
    include_str!("../page/clients.js"),
    include_str!("../page/main.js"),
);

/// What every answer of an admin address says: to be shown in no frame, told to nobody and kept nowhere.
pub(crate) const HEADERS: [(HeaderName, &str); 4] = [
    (header::CACHE_CONTROL, "no-store"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_in_the_page_may_run_and_nothing_else() {
        let page = Page::new("<style>a{}</style><script>one()</script><script>two()</script>".to_owned());
        // Of `printf 'one()' | openssl dgst -sha256 -binary | base64`, and so on.
        for part in [
            "default-src 'none'; connect-src 'self';",
            "style-src 'sha256-X1RutGBrXCt9KkSaXMK7tHftWiRscFHOhxsS8tv8hBk=';",
            "script-src 'sha256-HR7iaask9daLMRRskMI++QeJtjWDOjyPA6lGzYGzKW4=' 'sha256-iMrPAWirDC2X0OhZzLsM2MRIWSmepJGI4r7D8ZlwBOw=';",
        ] {
            assert!(page.policy.contains(part), "{part} is not in {}", page.policy);
        }
        assert!(Page::new("<p>".to_owned()).policy.contains("script-src 'none'"));
    }

    #[test]
    fn the_dashboard_loads_nothing_and_has_no_code_beside_its_script() {
        let Page { document, policy } = Page::dashboard();
        for forbidden in [
            "src=",
            "href=\"http",
            "@import",
            "url(",
            " onclick=",
            " onload=",
            " style=\"",
            "innerHTML",
            "eval(",
        ] {
            assert!(!document.contains(forbidden), "{forbidden}");
        }
        assert!(!document.contains("{{") && !policy.contains("'none'; script-src"));
    }
}
