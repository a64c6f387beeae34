//! What looks at builds: `list`, `show`, `events`, `artifacts` and `tests`.

mod artifacts;
mod events;
mod list;
mod show;
mod tests;

use monkeyci_controller::{Builds, BuildsError, Standing};

use crate::args::HomeArgs;
use crate::exit::Exit;
use crate::progress::Style;
use crate::setup;

pub use artifacts::artifacts;
pub use events::events;
pub use list::list;
pub use show::show;
pub use tests::tests;

/// Opens the home to look into it.
pub async fn open(home: &HomeArgs) -> Result<Builds, (Exit, anyhow::Error)> {
    let home = setup::home(home).map_err(|error| (Exit::Infrastructure, error))?;
    Builds::open(&home).await.map_err(failed)
}

/// Opens the home, and finds the build that is called so in it.
pub async fn find(home: &HomeArgs, build: &str) -> Result<(Builds, String), (Exit, anyhow::Error)> {
    let builds = open(home).await?;
    let build = builds.find(build).await.map_err(failed)?;
    Ok((builds, build))
}

/// An error, with its exit code.
pub fn failed(error: BuildsError) -> (Exit, anyhow::Error) {
    match error {
        BuildsError::Store(error) => setup::not_opened(error),
        error @ (BuildsError::ArtifactLost { .. } | BuildsError::Unwritten { .. } | BuildsError::Report { .. }) => {
            (Exit::Infrastructure, error.into())
        }
        error => (Exit::Usage, error.into()),
    }
}

/// Where a build is, in words and in colour.
fn standing(status: Standing) -> (&'static str, &'static str) {
    let colour = match status {
        Standing::Running => "36",
        Standing::Success => "32",
        Standing::Cancelled => "33",
        Standing::Lost
        | Standing::Failure
        | Standing::BadScript
        | Standing::Error
        | Standing::Refused
        | Standing::TimedOut
        | Standing::Unreadable => "31",
    };
    (colour, status.as_str())
}

/// A cell of a table: its text, and its colour.
type Cell = (String, &'static str);

/// A cell without a colour.
fn plain(text: impl Into<String>) -> Cell {
    (text.into(), "")
}

/// Rows with their columns below each other. Columns of `right` stand to the right; the last has its own width.
fn table(style: Style, rows: &[Vec<Cell>], right: &[usize]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width =
        |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|(text, _)| text.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or(0)).collect();
    let mut out = String::new();
    for row in rows {
        let mut line = String::new();
        for (column, (text, colour)) in row.iter().enumerate() {
            let padding = " ".repeat(widths[column].saturating_sub(text.chars().count()));
            let painted = if colour.is_empty() { text.clone() } else { style.paint(colour, text) };
            let (before, after) = if right.contains(&column) { (padding.as_str(), "") } else { ("", padding.as_str()) };
            line.push_str(&format!("{}{before}{painted}{after}", if column == 0 { "" } else { "  " }));
        }
        out.push_str(line.trim_end());
        out.push('\n');
    }
    out
}

/// The heads of a table.
fn heads(heads: &[&str]) -> Vec<Cell> {
    heads.iter().map(|head| ((*head).to_owned(), "2")).collect()
}
