//! Who may publish and play: signed URLs by the book, everything else as the node decides.
//!
//! Nobody pushes by name to a stream that belongs to a publication.

use std::sync::Arc;

use lockgate_routing::{Admission, Grant, Refusal};

use crate::url::{Book, Kind};

/// The book first, then `direct`.
pub(crate) struct SignedFirst {
    pub(crate) book: Arc<Book>,
    pub(crate) direct: Arc<dyn Admission>,
}

impl Admission for SignedFirst {
    fn publish(&self, app: &str, name: &str, query: &str) -> Result<Grant, Refusal> {
        if let Some(signed) = self.book.admit(Kind::Push, app, name) {
            return signed;
        }
        let grant = self.direct.publish(app, name, query)?;
        if self.book.owns(&grant.stream) {
            return Err(Refusal::SignedOnly);
        }
        Ok(grant)
    }

    fn play(&self, app: &str, name: &str, query: &str) -> Result<Grant, Refusal> {
        match self.book.admit(Kind::Pull, app, name) {
            Some(signed) => signed,
            None => self.direct.play(app, name, query),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::UrlId;
    use lockgate_routing::{Lease, StreamId};

    struct Open;

    impl Admission for Open {
        fn publish(&self, app: &str, name: &str, _: &str) -> Result<Grant, Refusal> {
            StreamId::new(app, name).map(Grant::from)
        }

        fn play(&self, app: &str, name: &str, _: &str) -> Result<Grant, Refusal> {
            StreamId::new(app, name).map(Grant::from)
        }
    }

    #[test]
    fn names_are_the_nodes_affair_unless_a_publication_owns_the_stream() {
        let book = Arc::new(Book::new());
        let admission = SignedFirst {
            book: Arc::clone(&book),
            direct: Arc::new(Open),
        };
        assert!(admission.publish("live", "c/1", "").is_ok());
        let stream = StreamId::new("live", "c/1").unwrap();
        book.bind(Kind::Push, UrlId(1), stream.clone(), Lease::subscription());
        assert_eq!(
            admission.publish("live", "c/1", "").map(drop),
            Err(Refusal::SignedOnly)
        );
        assert!(admission.play("live", "c/1", "").is_ok());
        let name = book.name(Kind::Push, UrlId(1));
        assert_eq!(admission.publish("live", &name, "").unwrap().stream, stream);
        book.end(UrlId(1));
        assert!(admission.publish("live", "c/1", "").is_ok());
        assert_eq!(
            admission.publish("live", &name, "").map(drop),
            Err(Refusal::UrlDead)
        );
    }
}
