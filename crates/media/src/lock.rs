//! Locks whose values are whole at any time, so that a panic of one holder is no reason for the others to give up.

use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Mutex that is taken although a thread panicked while it held it.
pub trait MutexExt<T: ?Sized> {
    /// Waits for the mutex and takes it, poisoned or not.
    fn lock_ignoring_poison(&self) -> MutexGuard<'_, T>;
}

impl<T: ?Sized> MutexExt<T> for Mutex<T> {
    fn lock_ignoring_poison(&self) -> MutexGuard<'_, T> {
        self.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Read-write lock that is taken although a thread panicked while it held it.
pub trait RwLockExt<T: ?Sized> {
    /// Waits until nobody writes and takes the lock for reading, poisoned or not.
    fn read_ignoring_poison(&self) -> RwLockReadGuard<'_, T>;
    /// Waits until nobody holds the lock and takes it for writing, poisoned or not.
    fn write_ignoring_poison(&self) -> RwLockWriteGuard<'_, T>;
}

impl<T: ?Sized> RwLockExt<T> for RwLock<T> {
    fn read_ignoring_poison(&self) -> RwLockReadGuard<'_, T> {
        self.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_ignoring_poison(&self) -> RwLockWriteGuard<'_, T> {
        self.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_outlives_the_panic_of_its_holder() {
        let mutex = Mutex::new(1);
        let lock = RwLock::new(2);
        std::thread::scope(|scope| {
            let holder = scope.spawn(|| {
                let _mutex = mutex.lock_ignoring_poison();
                let _lock = lock.write_ignoring_poison();
                panic!("with both");
            });
            holder.join().unwrap_err();
        });
        assert!(mutex.is_poisoned() && lock.is_poisoned());
        *lock.write_ignoring_poison() += *mutex.lock_ignoring_poison();
        assert_eq!(*lock.read_ignoring_poison(), 3);
    }
}
