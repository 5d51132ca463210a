//! Markdown with formulas, as HTML that needs nothing from elsewhere: formulas become MathML.

use pulldown_cmark::{Event, Options, Parser, html};
use pulldown_latex::config::{DisplayMode, RenderConfig};
use pulldown_latex::mathml::push_mathml;
use pulldown_latex::{Parser as Formula, Storage};

/// Text in Markdown as HTML; `$…$` and `$$…$$` are formulas in LaTeX.
///
/// # Errors
/// A formula that cannot be read, as text.
pub fn html(text: &str) -> Result<String, String> {
    let options = Options::ENABLE_TABLES | Options::ENABLE_MATH | Options::ENABLE_STRIKETHROUGH;
    let mut events = Vec::new();
    for event in Parser::new_ext(text, options) {
        events.push(match event {
            Event::InlineMath(formula) => Event::InlineHtml(mathml(&formula, DisplayMode::Inline)?.into()),
            Event::DisplayMath(formula) => Event::InlineHtml(mathml(&formula, DisplayMode::Block)?.into()),
            other => other,
        });
    }
    let mut page = String::new();
    html::push_html(&mut page, events.into_iter());
    Ok(page)
}

fn mathml(formula: &str, display_mode: DisplayMode) -> Result<String, String> {
    let storage = Storage::new();
    let events: Vec<_> = Formula::new(formula, &storage).collect();
    if let Some(error) = events.iter().find_map(|event| event.as_ref().err()) {
        return Err(format!("the formula `{formula}` cannot be read: {error}"));
    }
    let mut text = String::new();
    let config = RenderConfig { display_mode, ..RenderConfig::default() };
    push_mathml(&mut text, events.into_iter(), config).map_err(|error| error.to_string())?;
    Ok(text)
}

/// What pages look like.
const STYLE: &str = "body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:16px/1.5 sans-serif;color:#222}\
h1{font-size:1.6rem}h2{font-size:1.25rem;margin-top:2rem}\
table{border-collapse:collapse;margin:1rem 0;font-size:.92rem}td,th{border:1px solid #ccc;padding:.2rem .6rem;text-align:left}\
figure{margin:1.5rem 0}figure svg{max-width:100%;height:auto}figcaption{color:#555}\
code{background:#f3f3f3;padding:0 .2rem}pre{background:#f3f3f3;padding:.6rem;overflow-x:auto}math{font-size:1.08em}\
a{color:#1f5fa8}";

/// A whole page around a body.
pub fn page(title: &str, body: &str) -> String {
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>{title}</title>\n\
         <style>{STYLE}</style>\n</head>\n<body>\n{body}</body>\n</html>\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_become_mathml_and_wrong_ones_are_named() {
        let text = html(
            "The rate is $n^{-1/2}$:\n\n$$ \\int_0^1 W(u, v)\\,du = \\rho $$\n\n| a | b |\n|---|---|\n| 1 | 2 |\n",
        );
        let text = text.expect("formulas");
        assert_eq!(text.matches("<math").count(), 2, "{text}");
        assert!(text.contains("<msup>") && text.contains("<table>"), "{text}");
        assert!(html("$\\frac{1}$").is_err());
    }
}
