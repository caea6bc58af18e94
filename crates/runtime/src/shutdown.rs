//! Stopping: a token that can be told once and heard by many, with children.

use std::pin::Pin;
use std::sync::Arc;
use tokio::sync::watch;

/// A stop signal. Clones hear the same signal; a child hears its parent and can be told alone.
#[derive(Debug, Clone)]
pub struct Shutdown {
    own: Arc<watch::Sender<bool>>,
    parent: Option<Box<Shutdown>>,
}

impl Default for Shutdown {
    fn default() -> Self {
        Self::new()
    }
}

impl Shutdown {
    /// A signal that nobody has given yet.
    #[must_use]
    pub fn new() -> Self {
        Self { own: Arc::new(watch::channel(false).0), parent: None }
    }

    /// A signal that is also given when `self` is.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { own: Arc::new(watch::channel(false).0), parent: Some(Box::new(self.clone())) }
    }

    /// Gives the signal. Further calls change nothing.
    pub fn stop(&self) {
        self.own.send_replace(true);
    }

    /// Has it been given?
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        *self.own.borrow() || self.parent.as_ref().is_some_and(|p| p.is_stopped())
    }

    /// Waits until it is given. Cancel-safe.
    pub fn stopped(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let mut own = self.own.subscribe();
        Box::pin(async move {
            // The sender lives as long as `self`, so `wait_for` can only end with the signal.
            match &self.parent {
                None => {
                    let _ = own.wait_for(|given| *given).await;
                }
                Some(parent) => tokio::select! {
                    _ = own.wait_for(|given| *given) => {}
                    () = parent.stopped() => {}
                },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_child_hears_its_parent_and_not_the_other_way_round() {
        let parent = Shutdown::new();
        let (a, b) = (parent.child(), parent.child());
        a.stop();
        assert!(a.is_stopped() && !b.is_stopped() && !parent.is_stopped());
        let waiting = b.clone();
        let t = crate::spawn(crate::TaskKind::Test, async move { waiting.stopped().await });
        parent.stop();
        t.await.unwrap();
    }
}
