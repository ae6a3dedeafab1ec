//! A verdict that holds until its cause is well gone, with the words with which it began: a figure
//! that moves does not change the status all the time. Pure.

/// Reason and message, while it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(in crate::host) struct Held(pub Option<(&'static str, String)>);

impl Held {
    /// `sets` is what to say from the mark on, `clears` whether the figure is well below it.
    pub(in crate::host) fn judge(&mut self, sets: Option<(&'static str, String)>, clears: bool) {
        match (&self.0, sets) {
            (None, sets) => self.0 = sets,
            // Another reason is another state.
            (Some((reason, _)), Some(sets)) if *reason != sets.0 => self.0 = Some(sets),
            (Some(_), None) if clears => self.0 = None,
            (Some(_), _) => {}
        }
    }

    /// Nothing is known any more.
    pub(in crate::host) fn forget(&mut self) {
        self.0 = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_its_words_between_the_marks() {
        let mut held = Held::default();
        let say = |text: &str| Some(("High", text.to_owned()));
        held.judge(None, false);
        assert_eq!(held.0, None);
        held.judge(say("first"), false);
        held.judge(say("second"), false);
        held.judge(None, false);
        assert_eq!(held.0, say("first"));
        held.judge(Some(("Low", "other".to_owned())), false);
        assert_eq!(held.0, Some(("Low", "other".to_owned())));
        held.judge(None, true);
        assert_eq!(held.0, None);
    }
}
