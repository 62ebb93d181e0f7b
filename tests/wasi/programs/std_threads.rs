//! What `std::thread` and `std::sync` offer, in a program that ends with OK where all of it works.
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{mpsc, Arc, Barrier, Condvar, Mutex, OnceLock, RwLock};
use std::thread;
use std::time::{Duration, Instant};

const THREADS: usize = 4;

static ONCE: OnceLock<String> = OnceLock::new();

thread_local! {
    static OWN: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

fn share() {
    let words = Arc::new(Mutex::new(HashMap::<String, usize>::new()));
    let table = Arc::new(RwLock::new(vec![0_usize; 1000]));
    let barrier = Arc::new(Barrier::new(THREADS));
    let total = Arc::new(AtomicUsize::new(0));
    let turn = Arc::new((Mutex::new(0_usize), Condvar::new()));
    let (sender, receiver) = mpsc::channel::<(usize, Vec<usize>)>();
    let threads: Vec<_> = (0..THREADS)
        .map(|index| {
            let (words, table, barrier) = (words.clone(), table.clone(), barrier.clone());
            let (total, turn, sender) = (total.clone(), turn.clone(), sender.clone());
            thread::spawn(move || {
                for round in 0..100 {
                    *words
                        .lock()
                        .unwrap()
                        .entry(format!("word {}", round % 10))
                        .or_default() += 1;
                    total.fetch_add(1, Ordering::SeqCst);
                    OWN.set(OWN.get() + index);
                }
                barrier.wait();
                table
                    .write()
                    .unwrap()
                    .iter_mut()
                    .for_each(|cell| *cell += index);
                barrier.wait();
                let sum: usize = table.read().unwrap().iter().sum();
                let (mutex, changed) = &*turn;
                let mut now = changed
                    .wait_while(mutex.lock().unwrap(), |now| *now != index)
                    .unwrap();
                *now += 1;
                changed.notify_all();
                sender
                    .send((index, (0..10_000).map(|value| value * index).collect()))
                    .unwrap();
                assert_eq!(OWN.get(), 100 * index);
                assert_eq!(ONCE.get_or_init(|| "once".to_string()), "once");
                sum
            })
        })
        .collect();
    drop(sender);
    for (index, values) in receiver {
        assert_eq!(values[9_999], 9_999 * index);
    }
    for thread in threads {
        assert_eq!(thread.join().unwrap(), 1000 * (0..THREADS).sum::<usize>());
    }
    assert_eq!(words.lock().unwrap().values().sum::<usize>(), THREADS * 100);
    assert_eq!(total.load(Ordering::SeqCst), THREADS * 100);
}

fn main() {
    share();
    let mut parts = [0; THREADS];
    thread::scope(|scope| {
        for (index, part) in parts.iter_mut().enumerate() {
            scope.spawn(move || *part = index + 1);
        }
    });
    assert_eq!(parts, [1, 2, 3, 4]);
    let (sender, receiver) = mpsc::channel::<()>();
    let begun = Instant::now();
    assert!(receiver.recv_timeout(Duration::from_millis(20)).is_err());
    assert!(begun.elapsed() >= Duration::from_millis(20));
    drop(sender);
    println!("OK");
    if std::env::args().nth(1).is_some() {
        // A panic of a thread is a trap here, and ends the program.
        thread::spawn(|| panic!("as asked")).join().unwrap();
    }
}
