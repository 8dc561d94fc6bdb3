//! Waits of a connection that end rarely, in a task that is woken often: without
//! this, timers and tokens would be looked at for every request.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};

use headwater_media::lock::MutexExt;

/// Polls its future only when that itself was woken.
pub(super) struct SelectivePoll<F> {
    future: Pin<Box<F>>,
    flag: Arc<WakeFlag>,
    /// Rings the flag; what the future is given.
    waker: Waker,
    /// The task's waker, as the flag knows it.
    task: Waker,
}

struct WakeFlag {
    is_raised: AtomicBool,
    task: Mutex<Waker>,
}

impl<F: Future> SelectivePoll<F> {
    pub(super) fn new(future: F) -> Self {
        let task = Waker::noop().clone();
        let flag = Arc::new(WakeFlag { is_raised: AtomicBool::new(true), task: Mutex::new(task.clone()) });
        Self { future: Box::pin(future), waker: flag.clone().into(), flag, task }
    }
}

impl<F: Future> Future for SelectivePoll<F> {
    type Output = F::Output;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<F::Output> {
        let this = &mut *self;
        if !this.task.will_wake(context.waker()) {
            this.task = context.waker().clone();
            *this.flag.lock_waker() = this.task.clone();
        }
        // Said to the flag's task after it has been set, so the look that follows a ring is never missed.
        if !this.flag.is_raised.load(Ordering::SeqCst) {
            return Poll::Pending;
        }
        this.flag.is_raised.store(false, Ordering::SeqCst);
        this.future.as_mut().poll(&mut Context::from_waker(&this.waker))
    }
}

impl WakeFlag {
    fn lock_waker(&self) -> std::sync::MutexGuard<'_, Waker> {
        self.task.lock_ignoring_poison()
    }
}

impl Wake for WakeFlag {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.is_raised.store(true, Ordering::SeqCst);
        self.lock_waker().wake_by_ref();
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::time::Duration;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn it_is_polled_when_its_own_time_has_come() {
        let polls = Cell::new(0);
        let mut sleep = Box::pin(tokio::time::sleep(Duration::from_secs(10)));
        let counted = poll_fn(|context| {
            polls.set(polls.get() + 1);
            sleep.as_mut().poll(context)
        });
        let busy = async {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            std::future::pending::<()>().await;
        };
        let began = tokio::time::Instant::now();
        tokio::select! {
            () = SelectivePoll::new(counted) => {}
            () = busy => {}
        }
        assert_eq!((polls.get(), began.elapsed().as_secs()), (2, 10));
    }

    #[tokio::test]
    async fn it_follows_its_task() {
        let (send, receive) = tokio::sync::oneshot::channel();
        let mut polled = pin!(SelectivePoll::new(receive));
        assert!(polled.as_mut().poll(&mut Context::from_waker(Waker::noop())).is_pending());
        let sent = async { send.send(7).unwrap() };
        let (received, ()) = tokio::join!(polled, sent);
        assert_eq!(received, Ok(7));
    }
}
