//! `{name}` in a text stands for a value; `{{name}}` for the text `{name}`. Any other brace, as code
//! has them, stands for itself.

/// One piece of a text.
enum Piece<'a> {
    Plain(&'a str),
    Name(&'a str),
}

/// The names in a text, in their order.
pub fn names(text: &str) -> Vec<&str> {
    let name = |piece| if let Piece::Name(name) = piece { Some(name) } else { None };
    pieces(text).into_iter().filter_map(name).collect()
}

/// The text with its names replaced; one that `value` does not know stays as it is.
pub fn filled(text: &str, value: impl Fn(&str) -> Option<String>) -> String {
    let piece = |piece| match piece {
        Piece::Plain(text) => text.to_owned(),
        Piece::Name(name) => value(name).unwrap_or_else(|| format!("{{{name}}}")),
    };
    pieces(text).into_iter().map(piece).collect()
}

fn pieces(text: &str) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while let Some(start) = rest.find('{') {
        let (before, from) = rest.split_at(start);
        pieces.push(Piece::Plain(before));
        // `from` begins with a brace.
        let (piece, length) = match (name_in(from), from.strip_prefix('{').and_then(name_in)) {
            (Some(name), _) => (Piece::Name(name), name.len() + 2),
            (None, Some(name))
                if from.get(name.len() + 3..).is_some_and(|r| r.starts_with('}')) =>
            {
                (Piece::Plain(from.get(1..name.len() + 3).unwrap_or_default()), name.len() + 4)
            }
            _ => (Piece::Plain("{"), 1),
        };
        pieces.push(piece);
        rest = from.get(length..).unwrap_or_default();
    }
    pieces.push(Piece::Plain(rest));
    pieces
}

/// The name right after an opening brace, if a closing one follows it.
fn name_in(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('{')?.split_once('}')?;
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (!name.is_empty() && name.bytes().all(plain)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_replaced_and_other_braces_stay() {
        let value = |name: &str| (name == "port").then(|| "8501".to_owned());
        let check =
            |text: &str, expected: &str| assert_eq!(filled(text, value), expected, "{text}");
        check("--port={port}", "--port=8501");
        check("{port}{port}x", "85018501x");
        check("{{port}}", "{port}");
        check("{unknown}", "{unknown}");
        check("function(x) { x }", "function(x) { x }");
        check("{} {A} {a b} {{ {", "{} {A} {a b} {{ {");
        check("ä{port}ü", "ä8501ü");
        assert_eq!(names("{port} {{x}} {folder} { y }"), ["port", "folder"]);
    }
}
