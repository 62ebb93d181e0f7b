//! Finds the longest Collatz chain with rayon, and sorts beside that. Nothing in it knows of nodes:
//!
//!     ./tdsm wasm -n 2 collatz.wasm 4
//!
//! README.md in the folder above says how it is built.
use rayon::prelude::*;

fn chain(mut number: u64) -> u32 {
    let mut steps = 0;
    while number != 1 {
        number = if number % 2 == 0 {
            number / 2
        } else {
            3 * number + 1
        };
        steps += 1;
    }
    steps
}

fn main() {
    let threads = std::env::args()
        .nth(1)
        .map_or(4, |text| text.parse().expect("a number of threads"));
    // What rayon takes for the number of cores is 1 under WASI.
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build_global()
        .expect("room for the threads");

    let longest = (1..1_000_000_u32)
        .into_par_iter()
        .with_min_len(10_000)
        .map(|number| (chain(number.into()), number))
        .max()
        .unwrap();
    let (steps, first) = longest;
    println!("the longest chain below a million has {steps} steps, from {first}");

    let mut numbers: Vec<u64> = (0..100_000_u64)
        .map(|number| number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
        .collect();
    numbers.par_sort_unstable();
    let sorted = numbers.is_sorted();
    let not = if sorted { "" } else { "not " };
    println!("{} numbers are {not}sorted", numbers.len());
    println!(
        "{}",
        if sorted && (steps, first) == (524, 837_799) {
            "OK"
        } else {
            "WRONG"
        }
    );
}
