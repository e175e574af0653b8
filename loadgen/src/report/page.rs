//! The report as a page: one file with its data, style and scripts (`loadgen/page`), which asks for nothing else.

use serde::Serialize;

use super::Report;

/// What the page's script draws.
#[derive(Serialize)]
struct Data<'a> {
    report: &'a Report,
    table: String,
    failed: String,
    lost: String,
}

impl Report {
    /// As an HTML page of its own.
    ///
    /// # Errors
    /// As [`Report::to_json`].
    pub fn to_html(&self) -> Result<String, serde_json::Error> {
        let (failed, lost) = (self.connections.failures.summary(), self.connections.losses.summary());
        let data = Data { report: self, table: self.to_string(), failed, lost };
        // Without `<` no text can end the script that it is in.
        let data = serde_json::to_string(&data)?.replace('<', "\\u003c");
        Ok(include_str!("../../page/page.html")
            .replace("{{style}}", include_str!("../../page/page.css"))
            .replace("{{charts}}", include_str!("../../page/charts.js"))
            .replace("{{report}}", include_str!("../../page/report.js"))
            .replace("{{data}}", &data))
    }
}
