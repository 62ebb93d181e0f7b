/** The functions that programs can import, by where they are executed. */

/** The module from which programs import WASI. */
export const WASI_MODULE = "wasi_snapshot_preview1";
/** The module from which programs import what says where threads are, and decides it. */
export const PLACE_MODULE = "tdsm_threads";

/** The functions that each thread executes where it is. */
const OWN = [
  "clock_res_get",
  "clock_time_get",
  "poll_oneoff",
  "proc_exit",
  "random_get",
  "sched_yield",
] as const;

/** The functions that the home node executes: the program has its files and arguments there. */
export const HOME_FUNCTIONS = [
  "args_get",
  "args_sizes_get",
  "environ_get",
  "environ_sizes_get",
  "fd_advise",
  "fd_allocate",
  "fd_close",
  "fd_datasync",
  "fd_fdstat_get",
  "fd_fdstat_set_flags",
  "fd_fdstat_set_rights",
  "fd_filestat_get",
  "fd_filestat_set_size",
  "fd_filestat_set_times",
  "fd_pread",
  "fd_prestat_dir_name",
  "fd_prestat_get",
  "fd_pwrite",
  "fd_read",
  "fd_readdir",
  "fd_renumber",
  "fd_seek",
  "fd_sync",
  "fd_tell",
  "fd_write",
  "path_create_directory",
  "path_filestat_get",
  "path_filestat_set_times",
  "path_link",
  "path_open",
  "path_readlink",
  "path_remove_directory",
  "path_rename",
  "path_symlink",
  "path_unlink_file",
  "proc_raise",
  "sock_accept",
  "sock_recv",
  "sock_send",
  "sock_shutdown",
] as const;

/** One of {@linkcode HOME_FUNCTIONS}. */
export type HomeFunction = typeof HOME_FUNCTIONS[number];

/** Every function of WASI preview 1. */
export const WASI_FUNCTIONS: ReadonlySet<string> = new Set([...OWN, ...HOME_FUNCTIONS]);

/** The functions of {@linkcode PLACE_MODULE}. */
export const PLACE_FUNCTIONS: ReadonlySet<string> = new Set(["node", "nodes", "spawn_on"]);
