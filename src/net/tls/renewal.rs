//! Whether what was found in the files takes the place of what is in use.

use super::files::Digest;

/// Knows what is in use, and what was found unusable when it was last looked.
#[derive(Debug)]
pub(super) struct Renewal {
    current: Digest,
    doubt: Option<Doubt>,
}

#[derive(Debug)]
struct Doubt {
    reason: String,
    told: bool,
}

/// What follows from a look.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict<P> {
    /// Nothing: it is what is in use, or the files may be in the middle of a change, or all is told already.
    Keep,
    /// This pair is to be used from now on.
    Renew(P),
    /// What is in use stays so, and somebody has to know this reason.
    Refuse(String),
}

impl Renewal {
    /// `current` is in use.
    pub(super) fn new(current: Digest) -> Self {
        Self { current, doubt: None }
    }

    /// Judges what was found: the digest of the contents, or why they cannot be read. `pair` makes a pair of new
    /// contents, or says why they are none.
    ///
    /// Two files are never changed at one moment, so that a pair which does not fit may be half of a change. It is
    /// refused when the next look finds the same fault. A reason is told once, until the files are in order again.
    pub(super) fn judge<P>(
        &mut self,
        found: Result<Digest, String>,
        pair: impl FnOnce() -> Result<P, String>,
    ) -> Verdict<P> {
        if found.as_ref() == Ok(&self.current) {
            self.doubt = None;
            return Verdict::Keep;
        }
        match found.and_then(|digest| Ok((digest, pair()?))) {
            Ok((digest, pair)) => {
                *self = Self::new(digest);
                Verdict::Renew(pair)
            }
            Err(reason) => self.refuse(reason),
        }
    }

    fn refuse<P>(&mut self, reason: String) -> Verdict<P> {
        match &mut self.doubt {
            Some(doubt) if doubt.reason == reason => {
                let told = std::mem::replace(&mut doubt.told, true);
                if told { Verdict::Keep } else { Verdict::Refuse(reason) }
            }
            _ => {
                self.doubt = Some(Doubt { reason, told: false });
                Verdict::Keep
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OLD: Digest = [1; 32];
    const NEW: Digest = [2; 32];

    /// Finds contents that make a pair of this name.
    fn good(renewal: &mut Renewal, digest: Digest, name: &'static str) -> Verdict<&'static str> {
        renewal.judge(Ok(digest), || Ok(name))
    }

    /// Finds contents that make none.
    fn bad(renewal: &mut Renewal, digest: Digest, reason: &str) -> Verdict<&'static str> {
        renewal.judge(Ok(digest), || Err(reason.to_owned()))
    }

    fn unreadable(renewal: &mut Renewal, reason: &str) -> Verdict<&'static str> {
        renewal.judge(Err(reason.to_owned()), || panic!("there is nothing to make a pair of"))
    }

    fn refuse(reason: &str) -> Verdict<&'static str> {
        Verdict::Refuse(reason.to_owned())
    }

    #[test]
    fn what_is_in_use_is_not_read_again() {
        let mut renewal = Renewal::new(OLD);
        let verdict: Verdict<()> = renewal.judge(Ok(OLD), || panic!("it is in use"));
        assert_eq!(verdict, Verdict::Keep);
    }

    #[test]
    fn a_new_pair_is_used_at_once_and_once() {
        let mut renewal = Renewal::new(OLD);
        assert_eq!(good(&mut renewal, NEW, "new"), Verdict::Renew("new"));
        assert_eq!(good(&mut renewal, NEW, "new"), Verdict::Keep);
        assert_eq!(good(&mut renewal, OLD, "old"), Verdict::Renew("old"), "the way back is a renewal too");
    }

    #[test]
    fn half_of_a_change_is_passed_over() {
        let mut renewal = Renewal::new(OLD);
        assert_eq!(bad(&mut renewal, [3; 32], "the key is another"), Verdict::Keep);
        assert_eq!(good(&mut renewal, NEW, "new"), Verdict::Renew("new"));
        assert_eq!(unreadable(&mut renewal, "no such file"), Verdict::Keep, "it is being replaced");
        assert_eq!(good(&mut renewal, NEW, "new"), Verdict::Keep);
        assert_eq!(unreadable(&mut renewal, "no such file"), Verdict::Keep, "and again, later");
    }

    #[test]
    fn a_fault_that_lasts_is_told_once() {
        let mut renewal = Renewal::new(OLD);
        let told: Vec<_> = (0..5).map(|_| bad(&mut renewal, NEW, "no PEM")).collect();
        assert_eq!(told, [Verdict::Keep, refuse("no PEM"), Verdict::Keep, Verdict::Keep, Verdict::Keep]);
        let told: Vec<_> = (0..3).map(|_| unreadable(&mut renewal, "no such file")).collect();
        assert_eq!(told, [Verdict::Keep, refuse("no such file"), Verdict::Keep], "another fault is told too");
    }

    #[test]
    fn after_a_fault_both_the_old_and_a_new_pair_are_taken() {
        let mut renewal = Renewal::new(OLD);
        for _ in 0..2 {
            bad(&mut renewal, [3; 32], "no PEM");
        }
        assert_eq!(good(&mut renewal, OLD, "old"), Verdict::Keep, "it never went out of use");
        assert_eq!(bad(&mut renewal, [3; 32], "no PEM"), Verdict::Keep);
        assert_eq!(bad(&mut renewal, [3; 32], "no PEM"), refuse("no PEM"), "it was in order in between");
        assert_eq!(good(&mut renewal, NEW, "new"), Verdict::Renew("new"));
    }
}
