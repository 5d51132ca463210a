//! What a study leaves for a reader: a page that holds all of it, and each figure as SVG and PNG.

use super::error::StudyError;
use super::markdown;
use crate::journal;
use crate::plot::raster;
use std::path::Path;

/// A page in the making.
#[derive(Clone, Debug)]
pub struct Report {
    title: String,
    /// The text in Markdown; figures stand as `{{name}}` in a paragraph of their own.
    text: String,
    figures: Vec<Figure>,
}

#[derive(Clone, Debug)]
struct Figure {
    name: String,
    svg: String,
    caption: String,
}

impl Report {
    /// An empty page with a title.
    pub fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), text: String::new(), figures: Vec::new() }
    }

    /// Adds text in Markdown, formulas between dollars.
    pub fn text(&mut self, markdown: &str) -> &mut Self {
        self.text.push_str(markdown.trim_end());
        self.text.push_str("\n\n");
        self
    }

    /// Adds a table.
    ///
    /// # Panics
    /// A row has not one cell for each column.
    #[track_caller]
    pub fn table<S: AsRef<str>>(&mut self, header: &[&str], rows: &[Vec<S>]) -> &mut Self {
        let mut lines = vec![format!("| {} |", header.join(" | ")), format!("|{}", "---|".repeat(header.len()))];
        for row in rows {
            assert_eq!(row.len(), header.len(), "a row has one cell for each column");
            let cells: Vec<String> = row.iter().map(|cell| cell.as_ref().replace('|', "\\|")).collect();
            lines.push(format!("| {} |", cells.join(" | ")));
        }
        self.text(&lines.join("\n"))
    }

    /// Adds a figure; its files are called `name`.
    ///
    /// # Panics
    /// Two figures of one name, or a name that is no file's: letters, digits, `-` and `_`.
    #[track_caller]
    pub fn figure(&mut self, name: &str, svg: String, caption: &str) -> &mut Self {
        assert!(name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_') && !name.is_empty(), "{name}");
        assert!(self.figures.iter().all(|figure| figure.name != name), "two figures are called {name}");
        self.figures.push(Figure { name: name.to_owned(), svg, caption: caption.to_owned() });
        self.text(&format!("{{{{{name}}}}}"))
    }

    /// The text in Markdown, figures as links to their files.
    pub fn markdown(&self) -> String {
        let mut text = format!("# {}\n\n{}", self.title, self.text);
        for Figure { name, caption, .. } in &self.figures {
            text = text.replace(&format!("{{{{{name}}}}}"), &format!("![{caption}]({name}.svg)"));
        }
        text.trim_end().to_owned() + "\n"
    }

    /// The page, with its figures inside.
    ///
    /// # Errors
    /// A formula that cannot be read.
    pub fn html(&self) -> Result<String, StudyError> {
        let fault = |fault| StudyError::Note { note: self.title.clone(), fault };
        let mut body = markdown::html(&format!("# {}\n\n{}", self.title, self.text)).map_err(fault)?;
        for Figure { name, svg, caption } in &self.figures {
            let caption = markdown::html(caption).map_err(fault)?;
            let figure = format!("<figure>\n{svg}\n<figcaption>{caption}</figcaption>\n</figure>");
            body = body.replace(&format!("<p>{{{{{name}}}}}</p>"), &figure);
        }
        Ok(markdown::page(&self.title, &body))
    }

    /// Writes `index.html`, `report.md` and for each figure `NAME.svg` and `NAME.png`.
    ///
    /// # Errors
    /// A formula or a figure that cannot be drawn, a file that cannot be written.
    pub fn write(&self, directory: &Path) -> Result<(), StudyError> {
        let io = |source| StudyError::Io { path: directory.to_owned(), source };
        std::fs::create_dir_all(directory).map_err(io)?;
        for Figure { name, svg, .. } in &self.figures {
            journal::write(&directory.join(format!("{name}.svg")), svg)?;
            let path = directory.join(format!("{name}.png"));
            std::fs::write(&path, raster::png(svg)?).map_err(|source| StudyError::Io { path, source })?;
        }
        journal::write(&directory.join("report.md"), &self.markdown())?;
        Ok(journal::write(&directory.join("index.html"), &self.html()?)?)
    }
}

/// The text in Markdown that [`Report::write`] left in a directory.
///
/// # Errors
/// The file cannot be read.
pub fn read(directory: &Path) -> Result<String, StudyError> {
    let path = directory.join("report.md");
    std::fs::read_to_string(&path).map_err(|source| StudyError::Io { path, source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::Axes;
    use crate::plot::lines::{Line, Stroke, lines};

    #[test]
    fn a_page_holds_its_figures() {
        let axes = Axes { x: "n", y: "d", log_x: false, log_y: false };
        let svg = lines("rate", &axes, &[Line::new("seen", [(0.0, 1.0), (1.0, 2.0)], Stroke::Dotted)]).expect("a plot");
        let mut report = Report::new("Rates");
        report.text("Let $n \\to \\infty$.").table(&["n", "d"], &[vec!["1", "2"]]).figure(
            "rate",
            svg,
            "What $d$ does.",
        );
        let place = tempfile::tempdir().expect("a directory");
        report.write(place.path()).expect("written");
        let page = std::fs::read_to_string(place.path().join("index.html")).expect("a page");
        assert!(page.contains("<svg") && page.contains("<math") && page.contains("<table>"), "{page}");
        assert!(!page.contains("{{") && !page.contains("href=\"http"), "{page}");
        let text = std::fs::read_to_string(place.path().join("report.md")).expect("text");
        assert!(text.contains("](rate.svg)") && text.contains("| 1 | 2 |"), "{text}");
        assert!(place.path().join("rate.png").metadata().expect("a picture").len() > 1000);
    }
}
