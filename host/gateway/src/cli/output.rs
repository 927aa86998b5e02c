//! Results for people or for programs.

use clap::ValueEnum;
use serde::Serialize;
use serde_json::{Value, json};

use super::CliError;

/// How results and errors are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// One JSON document.
    Json,
}

impl Output {
    /// Prints a result: `text` for people, `document` for programs.
    pub(super) fn print<T: Serialize>(self, document: &T, text: impl FnOnce() -> String) {
        match self {
            Self::Text => print_line(text().trim_end()),
            Self::Json => print_line(&serde_json::to_string_pretty(document).unwrap_or_default()),
        }
    }

    /// Prints an error to standard error.
    pub(super) fn print_error(self, error: &CliError) {
        match self {
            Self::Text => eprintln!("portcullis: {error}"),
            Self::Json => eprintln!(
                "{}",
                json!({"error": error.to_string(), "exit_code": error.exit_code()})
            ),
        }
    }
}

/// A reader that went away (`| head`) is no error of ours.
fn print_line(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Aligned columns under their heads.
pub(super) fn table(heads: &[&str], rows: &[Vec<String>]) -> String {
    let mut widths: Vec<usize> = heads.iter().map(|head| head.len()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: Vec<&str>| -> String {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        padded.join("  ").trim_end().to_owned()
    };
    let mut lines = vec![line(heads.to_vec())];
    lines.extend(
        rows.iter()
            .map(|row| line(row.iter().map(String::as_str).collect())),
    );
    lines.join("\n")
}

/// A text field of a JSON document, or nothing.
pub(super) fn text_of(document: &Value, pointer: &str) -> String {
    match document.pointer(pointer) {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(items)) => items
            .iter()
            .filter_map(Value::as_str)
            .collect::<Vec<_>>()
            .join(","),
        Some(other) => other.to_string(),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::table;

    #[test]
    fn columns_are_aligned() {
        let rows = [
            vec!["a".to_owned(), "1".to_owned()],
            vec!["long".to_owned(), "2".to_owned()],
        ];
        assert_eq!(table(&["NAME", "N"], &rows), "NAME  N\na     1\nlong  2");
    }
}
