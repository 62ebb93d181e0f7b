/**
 * Every bound of the runtime, in one place: queues, buffers, retries, sizes.
 * Units are the last word of each name.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;
const TIB = 1024 * GIB;

// The region and its pages.

/** The smallest page: what the kernel of every supported machine can map. */
export const PAGE_SIZE_MIN_BYTES: number = 4 * KIB;
/** The largest page. */
export const PAGE_SIZE_MAX_BYTES: number = 2 * MIB;
/** The page size where none is asked for. */
export const PAGE_SIZE_DEFAULT_BYTES: number = 4 * KIB;
/** The largest region. */
export const REGION_MAX_BYTES: number = TIB;
/**
 * The most addresses that the regions of a process keep which were closed, since pointers into them
 * may be left: a quarter of what a process has on x86-64.
 */
export const CLOSED_REGIONS_MAX_BYTES: number = 32 * TIB;
/** The region's size where none is asked for. */
export const REGION_DEFAULT_BYTES: number = 64 * MIB;

// The nodes of a cluster.

/** The nodes that a directory serves at one time. */
export const NODES_MAX = 1024;
/** The largest node id. An id is given once and never again, so this bounds the joins. */
export const NODE_ID_MAX = 0xffff_fffe;
/**
 * The nodes that went last that a node remembers by name: far more than can be offered an id, and
 * join, while one is.
 */
export const GONE_REMEMBERED_MAX = 4096;
/**
 * The demands on behalf of nodes of which a node has yet to hear, as the directory node's word is
 * on its way: a home has one of them for each request of a node that has just joined.
 */
export const EARLY_DEMANDS_MAX = 65_536;
/** The nodes that were lost last of which the directory node remembers why. */
export const LOSSES_REMEMBERED_MAX = 1024;
/** The longest host name or address of a node, in bytes; bounds the list of nodes in a frame. */
export const ADDRESS_MAX_BYTES = 48;

/**
 * The nodes with which, by `homes: auto`, chunks still have their home at the directory node. With
 * so few it has time for all, and a home that all know of saves every node a look-up for each
 * chunk.
 */
export const ONE_HOME_NODES_MAX = 3;
/** The most pages whose home the directory node tells at once: setting so many takes 20 µs. */
export const LOCATED_MAX_PAGES = 65_536;

// What fits into the numbers of messages and of timers.

/**
 * The largest number of a request, a call or a ticket, which have 32 bits; the next one is 1 again.
 */
export const TICKET_MAX = 0xffff_ffff;
/** The largest number of 64 bits. */
export const U64_MAX = 0xffff_ffff_ffff_ffffn;
/**
 * The longest that anything may be told to wait, at a semaphore, barrier or mutex or for the answer
 * of a call: timers count milliseconds in 31 bits.
 */
export const TIMEOUT_MAX_MS = 2_147_483_647;

// Joining.

/** The port of a directory where none is named. */
export const DIRECTORY_PORT_DEFAULT = 9634;
/**
 * How long a node tries to reach the directory, where nothing else is asked for, in milliseconds.
 */
export const JOIN_TIMEOUT_DEFAULT_MS = 10_000;
/** The longest that a node may be told to try, in milliseconds. */
export const JOIN_TIMEOUT_MAX_MS = 3_600_000;
/** The first pause between two tries, in milliseconds; each is twice as long as the last. */
export const JOIN_RETRY_MIN_MS = 10;
/** The longest pause between two tries, in milliseconds. */
export const JOIN_RETRY_MAX_MS = 500;
/**
 * How long the directory node tries to connect to a node that wants to join, in milliseconds: Linux
 * asks for a connection again after 1 s and after 3 s, and two of the three may be lost. The node
 * waits for the answer, no longer than {@linkcode HANDSHAKE_MAX_MS}.
 */
export const REACH_MAX_MS = 4_000;
/**
 * How long to wait for the directory's word on a peer of a lower id that cannot be reached, in
 * milliseconds.
 */
export const PEER_VERDICT_MAX_MS = 5_000;
/**
 * The same for a peer of a higher id, which gives up first and so leaves one of the two: far longer
 * than the directory needs to hear of that and to pass it on.
 */
export const PEER_VERDICT_LAST_MS: number = 2 * PEER_VERDICT_MAX_MS;
/**
 * How long a directory node may be alone, or a directory silent, until the user of the node that
 * waits is told, in milliseconds.
 */
export const WAIT_UNTOLD_MS = 2_000;
/** The same without a terminal, and with a log of warnings only: nobody may be looking. */
export const WAIT_UNTOLD_LOG_MS = 10_000;

// Finding the directory by a rendezvous.

/** The most machines in a list of Slurm's that is read. */
export const NODELIST_MAX = 16_384;
/** The most bytes that are read at once of what a launcher answers; no line is longer. */
export const DESCRIPTOR_READ_BYTES: number = 4 * KIB;
/** How long a process that PMI's others wait for in vain may go on, in milliseconds. */
export const PMI_ABORT_MS = 1_000;
/** How long a record in etcd lives without its node, in seconds. */
export const ETCD_LEASE_S = 5;
/** How often the node keeps it, in milliseconds; an answer takes no longer than that. */
export const ETCD_BEAT_MS = 1_000;
/** How long etcd may take to answer a node that starts or ends, in milliseconds. */
export const ETCD_CALL_MAX_MS = 2_000;
/** The most bytes of an answer of etcd that are read; one with a record has far less. */
export const ETCD_ANSWER_MAX_BYTES: number = 16 * KIB;
/** How long a node waits for etcd to tell of a change before it looks itself, in milliseconds. */
export const ETCD_RETRY_MS = 500;
/** How long a node waits before it looks again for its directory, at first, in milliseconds. */
export const RENDEZVOUS_LOOK_MS = 20;
/**
 * The same at last, in milliseconds: the pauses grow, so that thousands of nodes do not keep a file
 * server or a name server busy.
 */
export const RENDEZVOUS_LOOK_MAX_MS = 1_000;
/** The most bytes of a rendezvous file that are read; a record has far less. */
export const RENDEZVOUS_FILE_MAX_BYTES: number = 4 * KIB;
/** How long a connection by which a node looks for a directory may take, in milliseconds. */
export const PROBE_MAX_MS = 1_000;

// Pages on their way, and transactions at a home.

/** The most pages that one request or grant carries. */
export const RUN_MAX_PAGES = 128;
/** The places of which a node remembers that walks end there, so that runs are to be short. */
export const RUN_CAPS_MAX = 1024;
/** The most pages that a node asks for at once since it walked through them before. */
export const RUN_LEARNED_MAX_PAGES = 16;
/** The most pages of its own behind which a node takes a long walk for the same one. */
export const WALK_SKIPPED_MAX_PAGES = 16_384;
/** The places of which a node remembers how far walks from there go. */
export const RUNS_LEARNED_MAX = 1024;
/** The most bytes that one grant carries: of large pages fewer than {@linkcode RUN_MAX_PAGES}. */
export const RUN_MAX_BYTES: number = 2 * MIB;
/**
 * The most requests that wait at one home, over all nodes and pages. The transactions under way
 * need no bound of their own: no two have a page in common, so that they take memory in proportion
 * to the pages that nodes touch, as what the home knows of the holders of pages does.
 */
export const REQUESTS_WAITING_MAX = 65_536;
/**
 * The pages that a home looks at in one go for a node that is gone or leaves. It serves requests in
 * between, and looking at so many takes far less than the time of a fault.
 */
export const WORK_PAGES = 8_192;
/**
 * The runs of freed pages that a home clears at one time: few, so that the demands for them hold up
 * no node, and a request for one of their pages waits for little more than the slowest
 * acknowledgement.
 */
export const CLEARS_MAX = 8;
/**
 * The runs of freed pages that the directory node has told one home to clear, and of which it
 * awaits word: enough to keep the home busy over a slow network.
 */
export const CLEAR_ORDERS_MAX = 64;
/**
 * The longest allocation of which a node may keep the pages that it has from an earlier one, in
 * pages: the directory node looks at each of them.
 */
export const REUSE_MAX_PAGES = 65_536;
/** The most runs of such pages in one allocation. */
export const REUSED_RUNS_MAX = 64;

// How long a page is held for a thread that waited for it.

/**
 * The longest that a node keeps a page for a thread that has not run since, where nothing else is
 * asked for, in microseconds.
 */
export const HOLD_TIME_DEFAULT_US = 10_000;
/** The longest that a node may be told to keep a page so, in microseconds. */
export const HOLD_TIME_MAX_US = 100_000;
/**
 * The bound of a hold where a shorter one is asked for, and where the kernel cannot tell when an
 * access has happened, in microseconds.
 */
export const HOLD_LEAST_US = 100;

// The memory of a node.

/**
 * The first Linux that has what a node needs, a page mapped write-protected by UFFDIO_CONTINUE: its
 * major version.
 */
export const KERNEL_MIN_MAJOR = 6;
/** Its minor version. */
export const KERNEL_MIN_MINOR = 4;
/** The longest file of the kernel's that is read to find out how much memory there is. */
export const SYSTEM_FILE_MAX_BYTES: number = 4 * MIB;
/** The most of the memory that a node takes for pages, where no limit is given, in percent. */
export const MEMORY_SHARE_DEFAULT_PERCENT = 80;
/**
 * The memory that is left to the process of a node, where no limit of its pages is given: Deno, the
 * program and the kernel need it.
 */
export const MEMORY_RESERVE_BYTES: number = 128 * MIB;
/**
 * The room for pages that a node needs beside two runs, the one under way and the one behind it:
 * one instruction, or one system call, may need several pages at the same time.
 */
export const MEMORY_SPARE_PAGES = 16;
/**
 * The least that each of several nodes on a machine is given for pages: what a node needs whose
 * pages are as large as pages can be, so that a run has only one.
 */
export const MEMORY_PART_MIN_BYTES: number = (2 + MEMORY_SPARE_PAGES) * PAGE_SIZE_MAX_BYTES;
/** How long a thread waits for room in its node's memory before the node ends, in milliseconds. */
export const MEMORY_WAIT_MAX_MS = 10_000;
/** How long after a node asked to have its pages taken elsewhere it asks anew, in milliseconds. */
export const MEMORY_ASK_AGAIN_MS = 500;
/**
 * The most runs that a node asks its home to forget, or to have taken elsewhere, at one time; as
 * many again where threads wait for their room.
 */
export const RELIEF_RUNS_MAX = 16;
/** The most runs that wait at a node until there is room to take them from others. */
export const ADOPTIONS_MAX = 16;
/** The most pages whose dead bytes a node gives back in one step. */
export const DISCARD_STEP_PAGES = 4096;
/** How often the engine looks whether bytes are sent that it is to give back, in microseconds. */
export const DISCARD_LOOK_US = 10_000;
/** The pause between two pieces of memory that an idle node gives back, in milliseconds. */
export const IDLE_STEP_MS = 20;

// The engine's loop: polling and sleep.

/** The faults that are read in one go. */
export const FAULT_BATCH = 64;
/**
 * How long the engine polls after the last event, or looks for news, where nothing else is asked
 * for, in microseconds.
 */
export const POLL_TIME_DEFAULT_US = 300;
/** The longest that the engine may be told to poll or to look, in microseconds. */
export const POLL_TIME_MAX_US = 1_000_000;
/**
 * For how many wake-ups of a sleeping thread, as long as they take here, the engine looks for news
 * before it sleeps.
 */
export const LOOK_WAKES = 4;
/** What a wake-up is taken to cost before any was measured, in microseconds. */
export const WAKE_FIRST_US = 25;
/** The most that a wake-up counts: one that is later waited for other threads, in microseconds. */
export const WAKE_MAX_US = 50;
/** How many looks in a row may be in vain before the next ones are left out. */
export const LOOKS_IN_VAIN_MAX = 2;
/** How many looks are left out at most, before one is tried again, where their time ended them. */
export const LOOKS_LEFT_OUT_MAX = 8;
/** The same where looks ended since threads wanted more cores than there are. */
export const LOOKS_LEFT_OUT_TAKEN_MAX = 64;
/**
 * How long the engine sleeps while a page is held for a thread that has not run yet, in
 * microseconds: of that the kernel does not tell, so the engine looks.
 */
export const HELD_SLEEP_US = 25;
/**
 * The longest sleep of the engine while an operation of Deno's is under way, in microseconds. The
 * end of one ends the sleep, but where the event loop took note of it just before. So seldom that
 * many nodes of one machine, which all wait for the answer of one of them, leave it the cores.
 */
export const OPERATION_LOOK_US = 16_000;
/** How often the engine asks for faults that the epoll should have told of, in microseconds. */
export const FAULTS_ASK_US = 10_000;
/** After how long without the core somebody else is taken to compute there, in microseconds. */
export const POLL_AWAY_US = 500;
/**
 * After how long without the core polling pauses at once, in microseconds: a slice of the kernel's.
 */
export const POLL_LOST_US = 2_000;
/** The share of the polling time without the core from which on polling pauses. */
export const POLL_AWAY_SHARE = 0.5;
/** The polling time after which that share is judged, in microseconds. */
export const POLL_WINDOW_US = 10_000;
/** The shortest pause of polling once the cores were found busy, in microseconds. */
export const POLL_PAUSE_MIN_US = 20_000;
/** The longest pause of polling while the cores are found busy, in microseconds. */
export const POLL_PAUSE_MAX_US = 1_000_000;
/** The shortest sleep of the engine until there is something to do, in microseconds. */
export const SLEEP_LEAST_US = 2_000;
/** The longest sleep of the engine, in microseconds: so long does nothing happen at all. */
export const SLEEP_MAX_US = 1_000_000_000;
/**
 * How many turns of the event loop without a sleep of the engine follow the last in which it had
 * something to do.
 */
export const LOOP_BUSY_TURNS = 4;
/**
 * How many follow where another thread may have woken the event loop, as a signal does, or the end
 * of work in Deno's pool. That wake-up waits in a queue of its own, from which Deno's runtime takes
 * only at every 31st task (`global_queue_interval` of tokio) as long as there are others; and a
 * turn of the engine is one.
 */
export const LOOP_QUEUE_TURNS = 32;
/** After how many turns with nothing to do the engine's sleeps are as long as they may be. */
export const LOOP_QUIET_TURNS = 15;

// Calls of the program's threads to the engine.

/** The threads of one program that can use its node. */
export const CALL_SLOTS_MAX = 64;
/** How long a thread that finds all slots taken waits for one that is left, in milliseconds. */
export const SLOT_WAIT_MAX_MS = 1_000;
/** How often it has the engine look for threads that have ended meanwhile, in milliseconds. */
export const SLOT_LOOK_MS = 20;
/** The bytes of calls, or of answers, under way between a thread and the engine. A power of two. */
export const CALL_RING_BYTES: number = 2 * MIB;
/** How many bytes of records that are not urgent may wait before they wake a sleeping thread. */
export const CALL_QUIET_MAX_BYTES: number = 4 * KIB;
/** How many calls the engine takes before it sends the messages that they led to. */
export const CALL_BATCH = 64;
/** How long a thread that blocks for the engine's answer waits for it, in milliseconds. */
export const CALL_SYNC_MAX_MS = 10_000;
/** How often a thread that blocks looks whether its engine has ended meanwhile, in milliseconds. */
export const ENDED_LOOK_MS = 1_000;
/**
 * How many releases and unlocks of a thread of native code may have no answer before the thread
 * waits for one: more than wake it when they are answered, and fewer than a ring has room for.
 */
export const NATIVE_POSTS_MAX = 1_024;
/** The longest reason why a node cannot go on that its threads are told, in UTF-16 code units. */
export const FAILURE_TEXT_MAX = 8_192;
/** How many times a thread reads the list of peers anew while the engine is writing it. */
export const PEERS_LOOKS_MAX = 1_000;

// Frames, and the queue of a link.

/**
 * The most bytes of a control frame with its header; a list of {@linkcode NODES_MAX} nodes fits.
 */
export const CONTROL_MAX_BYTES: number = 64 * KIB;
/** The longest text for people in a control message, in UTF-16 code units; the rest is cut off. */
export const CONTROL_TEXT_MAX = 1024;
/** The size of a batch of small frames, in bytes; the longest frame fits. */
export const SEND_BATCH_BYTES: number = 128 * KIB;
/** The longest bytes that are copied behind their frame, to be written and read in one go. */
export const SEND_COPY_MAX_BYTES: number = 16 * KIB;
/**
 * What page bytes count as that wait in the region itself: an entry, and a page of a batch before
 * it.
 */
export const SEND_ENTRY_BYTES: number = 4 * KIB;
/**
 * The most bytes that the queues to all peers hold together; beyond it the longest queue, of those
 * that stand still if there are any, is that of a peer that does not read.
 */
export const LINK_QUEUE_MAX_BYTES: number = 256 * MIB;
/** How long a link that is closed goes on sending what was queued, in milliseconds. */
export const LINK_CLOSE_MAX_MS = 2_000;

// Connections that come in.

/**
 * How long a connection may take to be made, to prove the key, and to say who it is, in
 * milliseconds each.
 */
export const HANDSHAKE_MAX_MS = 5_000;
/**
 * The connections that may be in their handshake at one time; for another one the oldest is dropped
 * that has said nothing yet.
 */
export const HANDSHAKES_MAX = 256;
/** How many of them may come from one address. */
export const HANDSHAKES_ADDRESS_MAX = 64;
/**
 * How many dropped connections a node tells of in an interval; at its end, how many more it
 * dropped.
 */
export const DROPS_TOLD_MAX = 10;
/** The interval, in milliseconds. */
export const DROPS_TOLD_MS = 1_000;
/**
 * The pause after a connection could not be accepted, as for want of descriptors, in milliseconds.
 */
export const ACCEPT_RETRY_MS = 100;
/**
 * How long every connection was accepted, in milliseconds, before the next that is not is told of.
 */
export const ACCEPT_QUIET_MS = 60_000;

// Keys and sealed links.

/** The most bytes of a key file that are read; a key has far less. */
export const KEY_FILE_MAX_BYTES: number = 4 * KIB;
/** The bytes of a key: of the one that nodes share, and of each one that a handshake yields. */
export const KEY_BYTES = 32;
/** The most bytes that a message of the handshake with a key carries. */
export const NOISE_PAYLOAD_MAX_BYTES = 64;
/**
 * How long the other side of a connection may take to show that it has the key, in milliseconds.
 */
export const UNPROVEN_MAX_MS = 2_000;
/**
 * The connections that may not have shown it yet at one time; for another one the oldest is dropped
 * that has said nothing yet. Nodes of one address that all turn to the same one at once, as for a
 * chunk that they all need, have to have room; a flood must cost little.
 */
export const UNPROVEN_MAX = 64;
/** The most bytes that are read, and dropped, of a connection whose other side lacks the key. */
export const DISCARDED_MAX_BYTES: number = 64 * KIB;
/** The most bytes of the first sealed record, which has a node's first message in it. */
export const SEAL_FIRST_MAX_BYTES: number = 8 * KIB;
/** The most bytes that are sealed in one go. */
export const SEAL_BATCH_BYTES: number = 128 * KIB;

// Whether a node lives, and how long it may use its pages.

/** How often a node tells the directory node that it is alive, in milliseconds. */
export const HEARTBEAT_MS = 1_000;
/** After how long a silence a connection counts as broken, in milliseconds. */
export const SILENCE_MAX_MS = 15_000;
/**
 * For how long a node says nothing to a node other than the directory node before it tells that
 * node that it is alive, at the next beat, in milliseconds. Beats that are late by up to
 * {@linkcode BEAT_LATE_MS} each still come before {@linkcode SILENCE_MAX_MS}.
 */
export const QUIET_MAX_MS = 4_000;
/**
 * How long a node goes on trying to connect to another one that is a member, in milliseconds, a try
 * at a time: a slow or lossy way may take several. As long as a silence, so that the directory node
 * has found out by then, or is about to, where the other one is dead.
 */
export const DIAL_MAX_MS: number = SILENCE_MAX_MS;
/**
 * How late a node's own beat may be before the node counts as one that was stopped itself, and
 * blames nobody for having been silent meanwhile, in milliseconds.
 */
export const BEAT_LATE_MS = 3_000;
/**
 * How long a node uses its pages without an answer of the directory node, counted from the ping
 * that was answered, in milliseconds. So much shorter than {@linkcode SILENCE_MAX_MS} that the node
 * has closed its windows before the directory node gives it up, whatever the beats and clocks of
 * the two do.
 */
export const LEASE_MS = 10_000;
/**
 * How long the engine of the directory node stays away from its sleep before the library says so,
 * in milliseconds: as long as the other nodes wait for it.
 */
export const ENGINE_SILENT_MS: number = LEASE_MS;
/**
 * How many reminders in a row of what it owes a node may leave unanswered; one goes out each beat.
 */
export const OWED_MAX_BEATS: number = SILENCE_MAX_MS / HEARTBEAT_MS;
/**
 * For how many beats a node may lack what another one says it has sent, before one of the two is
 * given up: longer than the fullest queue takes on all but slow links.
 */
export const DISPUTED_MAX_BEATS = 60;

// Semaphores, barriers, mutexes and waits for words.

/** The most permits that a semaphore counts. */
export const SEMAPHORE_COUNT_MAX = 0x7fff_ffff;
/** The longest name of a barrier or a mutex, in bytes of UTF-8. */
export const SYNC_NAME_MAX_BYTES = 255;
/** The semaphores, barriers and mutexes together that the directory remembers at one time. */
export const SYNC_OBJECTS_MAX = 1_048_576;
/** How many of them one node may have made. */
export const SYNC_OBJECTS_NODE_MAX = 65_536;
/** How many of them a node may make though {@linkcode SYNC_OBJECTS_MAX} are made. */
export const SYNC_OBJECTS_ASSURED = 1_024;
/** The semaphores and mutexes whose makers are gone that the directory remembers at one time. */
export const SYNC_ORPHANS_MAX = 65_536;
/** The barriers of which the directory remembers which nodes took part in the last round. */
export const SYNC_ROUNDS_MAX = 4_096;
/**
 * The requests that wait at semaphores, barriers and mutexes at one time, over all nodes; and
 * likewise, beside these, the waits for words and the notifies that are not done.
 */
export const SYNC_WAITING_MAX = 65_536;
/**
 * How long the directory node may take to answer what it answers at once, in milliseconds: by then
 * a dead one is found out, and its loss told.
 */
export const DESK_SILENCE_MAX_MS: number = SILENCE_MAX_MS + CALL_SYNC_MAX_MS;
/** How many of a node's requests may wait though {@linkcode SYNC_WAITING_MAX} of all nodes do. */
export const SYNC_WAITING_ASSURED: number = CALL_SLOTS_MAX;
/** The most parties of a barrier: as many as can wait. */
export const BARRIER_PARTIES_MAX: number = SYNC_WAITING_MAX;
/** The most waits for a word that one notify wakes. */
export const FUTEX_COUNT_MAX = 0x7fff_ffff;
/** The nodes at a barrier up to which the directory node takes all arrivals itself. */
export const BARRIER_TREE_NODES = 16;
/**
 * The radix of the trees by which more nodes gather. With a larger one than 4 a parent takes more
 * messages, but a tree is not as deep, which is faster from 24 nodes on (`docs/decisions/`).
 */
export const BARRIER_TREE_RADIX = 8;
/**
 * After how many rounds that are alike a barrier is gathered by a tree at last. It begins with the
 * second, and twice as many are needed after each tree that had to be dissolved.
 */
export const BARRIER_TREE_ROUNDS_MAX = 64;
/**
 * How many trees a cluster may have, one after the other, and how many rounds each may gather: both
 * are counted in 32 bits. A tree that has gathered so many is dissolved; after so many trees there
 * is no other.
 */
export const BARRIER_TREE_USES_MAX = 0xffff_ffff;
/**
 * The words that may be quiet for a node, or lent to it, at one time, so that a notify there costs
 * no message. The number of a word, which has up to 38 bits, without the lowest byte fits into 30,
 * which leaves two bits for what the word is; the slot tells that byte.
 */
export const FUTEX_QUIET_SLOTS = 256;
/** After how many requests of one node in a row a word is lent to it. */
export const FUTEX_LEND_AFTER = 4;
/** The most that it takes: twice as many each time a word is wanted back. */
export const FUTEX_LEND_AFTER_MAX = 1024;
/**
 * The waits for a word with which it is lent, and that a node serves there: so few that one step
 * has the time to move them. Where more come, the word goes back: beyond what the directory node
 * has room for, it gets so many for each slot of each node and no more.
 */
export const FUTEX_LENT_WAITS_MAX = 64;
/** Of how many words at most it is known how many requests in a row one node has made there. */
export const FUTEX_RUNS_MAX = 4096;
/**
 * The longest that a thread looks at its word before it asks the desk, in microseconds: longer than
 * a page takes to come back from another node.
 */
export const FUTEX_SPIN_MAX_US = 400;
/** The shortest, where the last looks were in vain, in microseconds. */
export const FUTEX_SPIN_MIN_US = 2;
/** How many times it looks before it looks at the clock. */
export const FUTEX_SPIN_LOOKS = 16;
/**
 * The links at the directory node that threads of other nodes have for themselves. A thread that
 * gets none asks by its engine: a descriptor may be wanted for a node that joins.
 */
export const THREAD_LINKS_MAX = 256;
/** How many times a thread blocks at the directory's desk before it is given a link of its own. */
export const THREAD_LINK_AFTER = 16;
/**
 * How many releases, unlocks and notifies of a thread may have no answer before the thread waits
 * for one.
 */
export const THREAD_LINK_UNANSWERED_MAX = 64;
/**
 * How long a node whose thread has found its own link ended waits to hear why before it fails, in
 * milliseconds: the word comes by another connection.
 */
export const THREAD_LINK_VERDICT_MS: number = PEER_VERDICT_MAX_MS;
/** How often a node looks for what its thread left unread in its link, in milliseconds. */
export const THREAD_LINK_LOOK_MS = 5;
/**
 * How long every thread of every node may wait, some of them at a barrier, until the directory node
 * says so: a wait that nobody is left to end. In milliseconds.
 */
export const SYNC_STUCK_MS = 5_000;
/** How many barriers the line that says so names, and how many nodes of each. */
export const SYNC_STUCK_NAMED_MAX = 8;

// Allocations and native modules.

/** The allocations of one region that live at one time; bounds the memory of the directory node. */
export const ALLOCATIONS_MAX: number = 4 * MIB;
/**
 * The most places that the allocator looks at for one whose chunks can have the home that is asked
 * for, before it takes any.
 */
export const PLACES_TRIED_MAX = 4_096;
/** The longest name of an allocation, in bytes of UTF-8. */
export const ALLOCATION_NAME_MAX_BYTES = 255;
/** The longest name of a native module in UTF-8: names of cells and of a mutex are made of it. */
export const MODULE_NAME_MAX_BYTES = 240;

// Remote calls.

/** The most bytes of the arguments or the answer of a call; with its frame it stays below 1 MiB. */
export const RPC_MAX_BYTES: number = MIB - 4 * KIB;
/** The longest name of a procedure, in bytes of UTF-8. */
export const RPC_NAME_MAX_BYTES = 255;
/** How deep the values of a call may be nested. */
export const RPC_DEPTH_MAX = 256;
/** The calls that one program may have under way. */
export const RPC_CALLS_MAX = 65_536;
/** The calls of one node to another that have no answer yet. */
export const RPC_LOAD_MAX = 65_536;
/** The most bytes of their arguments together: less than {@linkcode LINK_QUEUE_MAX_BYTES}. */
export const RPC_LOAD_MAX_BYTES: number = 128 * MIB;
/**
 * The longest message, name or stack of an error that a call brings back, in UTF-16 code units; the
 * rest is cut off.
 */
export const RPC_ERROR_TEXT_MAX = 8_192;
/** How many causes of an error a call brings back with it. */
export const RPC_CAUSES_MAX = 8;

// WebAssembly.

/** The largest module that is rewritten, in bytes: V8 takes none that is larger. */
export const WASM_MODULE_MAX_BYTES: number = GIB;
/** How deep the blocks of a function of a module may be nested. */
export const WASM_NESTING_MAX = 65_536;
/** The bytes of a page of a module's memory. */
export const WASM_PAGE_BYTES: number = 64 * KIB;
/** The pages of 64 KiB that addresses of 32 bits reach. */
export const WASM_MEMORY32_MAX_PAGES = 65_536;
/** The most pages of a memory with addresses of 64 bits: V8 makes none that is larger. */
export const WASM_MEMORY64_MAX_PAGES = 262_144;
/** The longest name of a memory, in bytes of UTF-8: names of allocations are made of it. */
export const WASM_NAME_MAX_BYTES = 240;
/**
 * The threads of a WASI program that one node may have: each takes one of {@linkcode
 * CALL_SLOTS_MAX}, and so do the thread that joined and those that have just ended.
 */
export const WASM_THREADS_NODE_MAX: number = CALL_SLOTS_MAX - 4;
/** The last id of a thread of a WASI program: ids are given once, and have 29 bits. */
export const WASM_THREAD_ID_MAX = 0x1fff_ffff;
/** The threads that a node is ready for before any is started, if it has no more cores. */
export const WASM_IDLE_THREADS = 2;
/**
 * How long a thread that starts another one waits for room on a node, in milliseconds: a thread
 * that was joined a moment ago may not have given back its place yet.
 */
export const WASM_PLACE_WAIT_MS = 1_000;
/** The most bytes that a WASI program reads at once from its standard input. */
export const WASM_READ_MAX_BYTES: number = 64 * KIB;
/** The most bytes that a WASI program writes at once to a standard stream: it is told how many. */
export const WASM_WRITE_MAX_BYTES: number = MIB;
/** The most frames of a stack that are told of a thread that has trapped. */
export const WASM_STACK_FRAMES_MAX = 64;
/** What the region has beside the memory of a WASI program, in bytes. */
export const WASM_REGION_SPARE_BYTES: number = 4 * MIB;
/** How many times a node looks at the clock of the home node, to have the same time. */
export const WASM_CLOCK_LOOKS = 8;

// How a node, and its program, end.

/**
 * How long a node may take to leave at a signal or at `Deno.exit`, in milliseconds. A second signal
 * ends the process at once.
 */
export const LEAVE_MAX_MS = 5_000;
/**
 * How long a closing node waits for the next of its pages to be taken over, in milliseconds. Longer
 * than {@linkcode SILENCE_MAX_MS}: a node that holds others up by its silence is found out first.
 */
export const LEAVE_STALL_MS = 30_000;
/** How often a directory node that waits for others to finish says so, in milliseconds. */
export const CLOSE_REMINDER_MS = 5_000;
/**
 * How long the directory node that is to end soon waits for others that leave at the same time, as
 * at the Ctrl-C of a terminal, in milliseconds.
 */
export const SETTLE_MAX_MS = 1_000;
/**
 * How soon after a signal the same one is its echo, in milliseconds: passed on by the process that
 * runs this one, to which a terminal had sent it as well.
 */
export const SIGNAL_ECHO_MS = 500;
/** How long a program may take to end by itself once a thread cannot go on, in milliseconds. */
export const FAILURE_GRACE_MS = 500;
/**
 * How long a program under `run` may go on to compute or to block once its node cannot go on, in
 * milliseconds.
 */
export const PROGRAM_GRACE_MS = 750;
/** How long the message of a process that is ended may take to be written, in milliseconds. */
export const DEATH_MESSAGE_MAX_MS = 1_000;

// What a node tells of itself.

/** How long the directory node waits for what the others have counted, in milliseconds. */
export const STATUS_MAX_MS = 2_000;
/** How often `--status --watch` looks, in milliseconds. */
export const STATUS_WATCH_MS = 1_000;
/** The most counters that a node tells of itself. */
export const COUNTERS_MAX = 64;
/**
 * The chunks of 128 pages whose moves a node counts page by page: 4 GiB in pages of 4 KiB. The
 * counts take 8 MiB then.
 */
export const MOVE_CHUNKS_MAX = 8_192;
/** The named allocations, the oldest, whose moves are told one by one; the rest in one sum. */
export const ALLOCATIONS_TOLD_MAX = 128;
/** The most bytes of what a node tells of itself: a control frame has it, and where the node is. */
export const FIGURES_MAX_BYTES: number = CONTROL_MAX_BYTES - KIB;
/** The most parts into which a range of pages is divided to look at what happens there. */
export const CELLS_MAX = 256;
/** The semaphores, barriers, mutexes and words, those where most wait, that are told. */
export const PLACES_TOLD_MAX = 32;
/** How many waits and how many locks are looked at to find them. */
export const PLACES_LOOKED_MAX = 1_024;
/** How many of the nodes that wait at each are told. */
export const PLACE_NODES_TOLD_MAX = 16;
/** The events of a cluster, the last ones, that its directory node remembers. */
export const EVENTS_MAX = 64;
/** The longest text of an event that is remembered, in UTF-16 code units; the rest is cut off. */
export const EVENT_TEXT_MAX = 240;
/** For how long after a look a node measures how long threads wait for pages, in milliseconds. */
export const LOOKED_AT_MS = 5_000;
/** The requests under way that a node measures at one time. */
export const TIMED_REQUESTS_MAX = 1_024;
/** The programs that may look at a cluster at one time, each again and again. */
export const LOOKERS_MAX = 64;
/** How long a program that looks at a cluster may be silent, in milliseconds. */
export const LOOKER_SILENCE_MAX_MS = 60_000;
/** The port of a dashboard where none is named. */
export const DASHBOARD_PORT_DEFAULT = 9635;
/** The runs of pages of which one look shows the cells. */
export const LOOK_RUNS_MAX = 8;
/** For how long what a dashboard has seen is good for other browsers, in milliseconds. */
export const SNAPSHOT_FRESH_MS = 500;
/** How long a dashboard waits at least before it looks again, in milliseconds. */
export const SNAPSHOT_PAUSE_MS = 200;
/**
 * The same for each node that it has seen: each answers, and a look at many nodes is to cost the
 * directory node no more of its time than one at few.
 */
export const SNAPSHOT_NODE_MS = 15;
/** For how long a dashboard looks at pages that no browser asks for again, in milliseconds. */
export const SNAPSHOT_RUN_MS = 3_000;
/** The requests of browsers that wait until a dashboard looks. */
export const SNAPSHOTS_WAITING_MAX = 32;
/** The lines that wait for the log to be loaded. */
export const LOG_WAITING_MAX = 1_024;
/** The connections that a server of metrics, or a dashboard, has at one time. */
export const HTTP_CONNECTIONS_MAX = 64;
/** How long such a connection may take to send the head of its first request, in milliseconds. */
export const HTTP_HEAD_MAX_MS = 5_000;
/**
 * How long it may then take to read an answer, and to send the head of the next request, in
 * milliseconds.
 */
export const HTTP_IDLE_MAX_MS = 30_000;
/** The most bytes that are read at once from such a connection. */
export const HTTP_READ_BYTES: number = 4 * KIB;
/** The buckets of a histogram of durations, from 1 us on; the last ends at 16.8 s. */
export const HISTOGRAM_BUCKETS = 25;
/** The faults whose durations are measured at one time: each is of another page. */
export const WATCHED_FAULTS_MAX = 4_096;
/** The events of a trace that wait to be written; more are dropped, and counted. */
export const TRACE_BUFFER_EVENTS = 32_768;
/** From how many events on that wait they are written without waiting for the next beat. */
export const TRACE_WRITE_EVENTS = 1_024;
/** The most bytes of a trace's file. */
export const TRACE_FILE_MAX_BYTES: number = 1024 * MIB;
/** The messages of which traces that are merged have told one end only. */
export const MERGE_MESSAGES_MAX = 1_000_000;
/** What happens to pages that metrics write down before they count it, in events. */
export const METRICS_LOG_EVENTS = 1_024;
/** The requests, or calls, whose durations are measured at one time. */
export const WATCHED_WAITS_MAX = 16_384;

// The launcher.

/** The connections of nodes that a launcher serves at one time. */
export const LAUNCH_CONNECTIONS_MAX: number = 2 * NODES_MAX;
/** The longest line by which a node of a launcher says which it is, in bytes. */
export const LAUNCH_TICKET_MAX_BYTES = 256;
/** The longest word of a node on another machine to its launcher, with its mark, in bytes. */
export const LAUNCH_WORD_MAX_BYTES = 256;
/** The connections to one machine that a launcher has under way at one time: sshd drops others. */
export const LAUNCH_CONNECTING_MAX = 4;
/** How long `ssh` waits for a machine to answer when it connects, in seconds. */
export const LAUNCH_CONNECT_S = 15;
/** How often `ssh` looks whether a machine is still there, in seconds; it gives up after three. */
export const LAUNCH_ALIVE_S = 5;
/** How many files of a folder are looked at for the one whose name was mistyped. */
export const NEAR_FILES_MAX = 1_000;
/** The longest line of a node that its launcher keeps whole, in bytes. */
export const LAUNCH_LINE_MAX_BYTES: number = MIB;
/** After how long a launcher says which node it waits for, in milliseconds. */
export const LAUNCH_REMINDER_MS = 10_000;
/** How often a launcher looks whether what started it is still there, in milliseconds. */
export const LAUNCH_ORPHAN_LOOK_MS = 1_000;
/** How long nodes may take to end once one has failed; then they are killed. In milliseconds. */
export const LAUNCH_END_MAX_MS = 6_000;
/**
 * How long a launcher waits for the cause, if a node ended as it could not go on. In milliseconds.
 */
export const LAUNCH_CAUSE_MAX_MS = 2_000;
/** How long it waits for the last output of nodes that a signal has ended, in milliseconds. */
export const LAUNCH_OUTPUT_MAX_MS = 2_000;
