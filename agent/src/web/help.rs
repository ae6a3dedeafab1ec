//! `/help`: the texts in `agent/docs`, compiled in.
//!
//! They are Markdown for readers of the source. Here the few forms that they use become HTML:
//! headings, paragraphs, lists, code blocks, `code` and links. What else there is shows as text.

use http::StatusCode;

use crate::base::conditions::Kind;
use crate::web::html::Html;
use crate::web::page::{Draft, Format, Page, card};
use crate::web::refusal::not_found;

const DOCS: [(&str, &str, &str); 12] = [
    ("", "Help", include_str!("../../docs/index.md")),
    ("login", "Logging in", include_str!("../../docs/login.md")),
    ("apps", "Apps", include_str!("../../docs/apps.md")),
    ("setup", "Setting up tools", include_str!("../../docs/setup.md")),
    ("vscode", "Scripts and VS Code", include_str!("../../docs/vscode.md")),
    ("share", "The workspace share", include_str!("../../docs/share.md")),
    ("machine", "The machine", include_str!("../../docs/machine.md")),
    ("control-plane", "Control plane", include_str!("../../docs/control-plane.md")),
    ("gpu", "GPUs", include_str!("../../docs/gpu.md")),
    ("metrics", "Metrics", include_str!("../../docs/metrics.md")),
    ("conditions", "Conditions", include_str!("../../docs/conditions.md")),
    ("troubleshooting", "Troubleshooting", include_str!("../../docs/troubleshooting.md")),
];

/// `GET /help` and `GET /help/NAME`; `path` is the whole path.
pub fn help(path: &str, format: Format) -> Page {
    let name = path.trim_start_matches("/help").trim_matches('/');
    let name = name.strip_suffix(".md").unwrap_or(name);
    let Some((_, title, source)) = DOCS.iter().find(|(known, ..)| *known == name) else {
        return not_found(path, format);
    };
    let mut draft = Draft::new(StatusCode::OK, "help", *title);
    let mut text = markdown(source);
    if name == "conditions" {
        text = text.each(Kind::ALL, condition);
    }
    draft.main = card(title, &text);
    draft.render(Format::Html)
}

/// What the conditions mean stands in the program, once for all who show it.
fn condition(kind: Kind) -> Html {
    let explained = kind.explained();
    let html = Html::literal("<h2>").text(explained.name).raw("</h2>\n<p>");
    let html = html.text(explained.meaning).raw("</p>\n<p>What to do: ");
    spans(html, explained.remedy).raw("</p>\n")
}

/// Which element is open.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Open {
    Nothing,
    Paragraph,
    List,
    Code,
}

impl Open {
    const fn end(self) -> &'static str {
        match self {
            Self::Nothing => "",
            Self::Paragraph => "</p>\n",
            Self::List => "</li></ul>\n",
            Self::Code => "</pre>\n",
        }
    }
}

fn markdown(source: &'static str) -> Html {
    let mut html = Html::new();
    let mut open = Open::Nothing;
    for line in source.lines() {
        if line.starts_with("```") {
            let next = if open == Open::Code { Open::Nothing } else { Open::Code };
            html = html.raw(open.end());
            if next == Open::Code {
                html = html.raw("<pre class=\"command\">");
            }
            open = next;
        } else if open == Open::Code {
            html = html.text(line).raw("\n");
        } else if line.is_empty() {
            html = html.raw(open.end());
            open = Open::Nothing;
        } else if let Some(title) = line.strip_prefix("## ") {
            html = html.raw(open.end()).raw("<h2>");
            html = spans(html, title).raw("</h2>\n");
            open = Open::Nothing;
        } else if line.starts_with("# ") {
            // The frame shows the title.
        } else if let Some(item) = line.strip_prefix("- ") {
            let start = if open == Open::List { "</li>\n<li>" } else { "<ul><li>" };
            html = html.raw(if open == Open::List { "" } else { open.end() }).raw(start);
            html = spans(html, item);
            open = Open::List;
        } else {
            if open == Open::Nothing {
                html = html.raw("<p>");
                open = Open::Paragraph;
            } else {
                html = html.raw(" ");
            }
            html = spans(html, line.trim_start());
        }
    }
    html.raw(open.end())
}

/// `code` and `[links](target)` within a line.
fn spans(html: Html, line: &str) -> Html {
    line.split('`').enumerate().fold(html, |html, (at, part)| {
        if at % 2 == 1 { html.raw("<code>").text(part).raw("</code>") } else { links(html, part) }
    })
}

fn links(html: Html, part: &str) -> Html {
    let found = part.split_once('[').and_then(|(before, rest)| {
        let (caption, rest) = rest.split_once("](")?;
        let (target, after) = rest.split_once(')')?;
        Some((before, caption, target, after))
    });
    match found {
        None => html.text(part),
        Some((before, caption, target, after)) => {
            let target = format!("/help/{}", target.trim_end_matches(".md"));
            let html = html.text(before).raw("<a href=\"").path(&target);
            links(html.raw("\">").text(caption).raw("</a>"), after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_few_forms() {
        let check = |source: &'static str, expect: &str| {
            assert_eq!(markdown(source).into_string(), expect, "{source}");
        };
        check("# T\n\na `b<` c\nd", "<p>a <code>b&lt;</code> c d</p>\n");
        check("- a\n- b\n  c\n\nd", "<ul><li>a</li>\n<li>b c</li></ul>\n<p>d</p>\n");
        check("```\n<x>\n```", "<pre class=\"command\">&lt;x&gt;\n</pre>\n");
        check("see [that](login.md).", "<p>see <a href=\"/help/login\">that</a>.</p>\n");
    }

    #[test]
    fn every_link_in_the_texts_leads_to_a_text() {
        for (name, _, source) in DOCS {
            let targets = source.split("](").skip(1).filter_map(|rest| rest.split(')').next());
            for target in targets {
                let path = format!("/help/{}", target.trim_end_matches(".md"));
                assert_eq!(help(&path, Format::Html).status, StatusCode::OK, "{name}: {target}");
            }
        }
        let conditions = help("/help/conditions", Format::Html);
        let text = std::str::from_utf8(&conditions.body).unwrap();
        for kind in Kind::ALL {
            assert!(text.contains(kind.name()), "{} is missing", kind.name());
        }
        assert_eq!(help("/help/none", Format::Html).status, StatusCode::NOT_FOUND);
    }
}
