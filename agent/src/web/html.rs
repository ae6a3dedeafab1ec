//! Builds HTML in which escaping is a matter of types: markup is a literal of this program, all
//! else is text.
//!
//! There is no way to put a run-time string into a page as markup, so a log line, a header or an
//! app's message cannot become an element, an attribute or a script.

/// A piece of HTML that is safe to show.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Html(String);

impl Html {
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// A piece of HTML that starts with markup written in this program.
    pub(super) fn literal(markup: &'static str) -> Self {
        Self(markup.to_owned())
    }

    /// Markup written in this program. `'static` keeps run-time text out.
    #[must_use]
    pub(super) fn raw(mut self, markup: &'static str) -> Self {
        self.0.push_str(markup);
        self
    }

    /// Text from anywhere, for element content and for attribute values in double quotes.
    #[must_use]
    pub(super) fn text(mut self, text: &str) -> Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                // A NUL is not allowed in HTML; other control characters would only confuse.
                c if c.is_control() && c != '\n' && c != '\t' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        self
    }

    /// A value that is shown as its `Display` says.
    #[must_use]
    pub(super) fn value(self, value: impl std::fmt::Display) -> Self {
        self.text(&value.to_string())
    }

    /// An address on this server, for `href`; anything else (`javascript:`, `//host`) becomes `/`.
    #[must_use]
    pub(super) fn path(self, path: &str) -> Self {
        let local = path.starts_with('/')
            && !path.starts_with("//")
            && !path.contains(|c: char| c == '\\' || c.is_control());
        self.text(if local { path } else { "/" })
    }

    /// Another piece.
    #[must_use]
    pub(super) fn push(mut self, piece: &Self) -> Self {
        self.0.push_str(&piece.0);
        self
    }

    /// One piece for each item.
    #[must_use]
    pub(super) fn each<T>(
        self,
        items: impl IntoIterator<Item = T>,
        piece: impl Fn(T) -> Self,
    ) -> Self {
        items.into_iter().fold(self, |html, item| html.push(&piece(item)))
    }

    pub(super) fn into_string(self) -> String {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn addresses_of_other_servers_are_not_linked() {
        let check = |path: &str, expect: &str| {
            assert_eq!(Html::new().path(path).into_string(), expect, "{path}");
        };
        check("/apps/jupyterlab/?a=1&b=2", "/apps/jupyterlab/?a=1&amp;b=2");
        check("//evil.example", "/");
        check("/\\evil.example", "/");
        check("/\t/evil.example", "/");
        check("javascript:alert(1)", "/");
        check("", "/");
    }

    proptest! {
        #[test]
        fn text_holds_no_markup(text in any::<String>()) {
            let html = Html::new().text(&text).into_string();
            prop_assert!(!html.contains(['<', '>', '"', '\'']));
            let entities = ["amp;", "lt;", "gt;", "quot;", "#39;"];
            for after in html.split('&').skip(1) {
                prop_assert!(entities.iter().any(|entity| after.starts_with(entity)));
            }
        }
    }
}
