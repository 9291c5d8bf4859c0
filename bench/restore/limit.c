/*
 * The limit that `bench/restore.ts` holds holo-peer against: what a restore has to do, in C, and nothing else.
 *
 *   limit THREADS LIST LIBRARY TARGET
 *
 * LIST, written by packed-list.ts, says of every directory, link and file of an environment what is to be made in
 * TARGET, which must not exist, and by which call out of LIBRARY. Nothing is verified, replaced, noted or flushed,
 * and files are made under their final names: a restore that does all that cannot be faster than this.
 *
 * `limit --version` names the decoder. Built with -lpthread and -ldeflate (-DWITH_LIBDEFLATE) or -lz.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#ifdef WITH_LIBDEFLATE
#include <libdeflate.h>
#else
#include <zlib.h>
#endif

#define MAGIC 0x314c5048 /* "HPL1" */
#define NAME_BYTES 24
#define THREADS_MAX 16
#define RESTORED_TIME 1610000000
#define DIRECTORY_MODE 0750

/* The list: a header, four tables, and NUL-terminated strings that the tables name by their offset. */
struct header {
  uint32_t magic, directories, links, files, rewrites, string_bytes;
  char name[NAME_BYTES]; /* what relocation writes */
};
struct directory {
  uint32_t path, first_link, links, first_file, files;
  uint32_t settle; /* its time is the fixed one: nothing but directories is put into it */
};
struct link {
  uint32_t name, target;
};
struct file {
  uint32_t blob, name, mode, how;
  uint32_t bytes, stored_bytes; /* of the content; of the blob at rest */
  uint32_t first_rewrite, rewrites;
};
enum how { EMPTY, CLONE, COPY, LINK, GUNZIP };

static const struct header *header;
static const struct directory *directories;
static const struct link *links;
static const struct file *files;
static const uint32_t *rewrites;
static const char *strings;
static int library, target;

static const struct timespec restored_times[2] = {{RESTORED_TIME, 0}, {RESTORED_TIME, 0}};
/*
 * How many directories stand, and the next to be filled. Threads take whole directories, since a directory admits one
 * writer at a time; they begin while the main thread still makes the later ones.
 */
static atomic_uint made_directories, next_directory;

/* What one thread needs for decoding; buffers grow to the largest blob. */
struct decoder {
  uint8_t *stored, *content;
  size_t stored_capacity, content_capacity;
#ifdef WITH_LIBDEFLATE
  struct libdeflate_decompressor *inflater;
#else
  z_stream inflater;
#endif
};

static void die(const char *what, const char *which) {
  fprintf(stderr, "limit: %s %s: %s\n", what, which, strerror(errno));
  exit(1);
}

static uint8_t *grown(uint8_t *buffer, size_t *capacity, size_t wanted) {
  if (wanted <= *capacity) return buffer;
  free(buffer);
  *capacity = wanted * 2;
  buffer = malloc(*capacity);
  if (buffer == NULL) die("allocate for", "a blob");
  return buffer;
}

static void start_decoder(struct decoder *decoder) {
  memset(decoder, 0, sizeof *decoder);
#ifdef WITH_LIBDEFLATE
  decoder->inflater = libdeflate_alloc_decompressor();
  if (decoder->inflater == NULL) die("start", "libdeflate");
#else
  if (inflateInit2(&decoder->inflater, 15 + 16) != Z_OK) die("start", "zlib");
#endif
}

/* Decode the stored bytes; they must give exactly `bytes`. */
static int decoded(struct decoder *decoder, size_t stored_bytes, size_t bytes) {
#ifdef WITH_LIBDEFLATE
  size_t actual;
  return libdeflate_gzip_decompress(decoder->inflater, decoder->stored, stored_bytes, decoder->content,
                                    decoder->content_capacity, &actual) == LIBDEFLATE_SUCCESS &&
         actual == bytes;
#else
  z_stream *stream = &decoder->inflater;
  inflateReset(stream);
  stream->next_in = decoder->stored;
  stream->avail_in = stored_bytes;
  stream->next_out = decoder->content;
  stream->avail_out = decoder->content_capacity;
  return inflate(stream, Z_FINISH) == Z_STREAM_END && stream->total_out == bytes;
#endif
}

static int open_blob(const struct file *file) {
  int blob = openat(library, strings + file->blob, O_RDONLY | O_CLOEXEC);
  if (blob < 0) die("open blob", strings + file->blob);
  return blob;
}

static void read_all(int descriptor, uint8_t *bytes, size_t count, const char *name) {
  for (size_t done = 0; done < count;) {
    ssize_t got = read(descriptor, bytes + done, count - done);
    if (got <= 0) die("read", name);
    done += got;
  }
}

static void write_all(int descriptor, const uint8_t *bytes, size_t count, const char *name) {
  for (size_t done = 0; done < count;) {
    ssize_t put = write(descriptor, bytes + done, count - done);
    if (put <= 0) die("write", name);
    done += put;
  }
}

static void clone_blob(const struct file *file, int made) {
  int blob = open_blob(file);
  if (ioctl(made, FICLONE, blob) != 0) die("clone", strings + file->blob);
  close(blob);
}

static void copy_blob(const struct file *file, int made) {
  int blob = open_blob(file);
  for (size_t done = 0; done < file->bytes;) {
    ssize_t put = copy_file_range(blob, NULL, made, NULL, file->bytes - done, 0);
    if (put <= 0) die("copy", strings + file->blob);
    done += put;
  }
  close(blob);
}

/* Relocated in memory: one write. */
static void decode_blob(const struct file *file, int made, struct decoder *decoder) {
  decoder->stored = grown(decoder->stored, &decoder->stored_capacity, file->stored_bytes);
  decoder->content = grown(decoder->content, &decoder->content_capacity, file->bytes + 1);
  int blob = open_blob(file);
  read_all(blob, decoder->stored, file->stored_bytes, strings + file->blob);
  close(blob);
  if (!decoded(decoder, file->stored_bytes, file->bytes)) die("decode", strings + file->blob);
  for (uint32_t index = 0; index < file->rewrites; index++)
    memcpy(decoder->content + rewrites[file->first_rewrite + index], header->name, NAME_BYTES);
  write_all(made, decoder->content, file->bytes, strings + file->name);
}

static void relocate(const struct file *file, int made) {
  for (uint32_t index = 0; index < file->rewrites; index++)
    if (pwrite(made, header->name, NAME_BYTES, rewrites[file->first_rewrite + index]) != NAME_BYTES)
      die("relocate", strings + file->name);
}

/* A linked blob bears mode and time already: the bench saw to it, as a library has them after its first restore. */
static void link_blob(const struct file *file, int directory) {
  if (linkat(library, strings + file->blob, directory, strings + file->name, 0) != 0) die("link", strings + file->name);
}

static void make_file(const struct file *file, int directory, struct decoder *decoder) {
  const char *name = strings + file->name;
  if (file->how == LINK) {
    link_blob(file, directory);
    return;
  }
  int made = openat(directory, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode & 0777);
  if (made < 0) die("make", name);
  if (file->how == CLONE) clone_blob(file, made);
  else if (file->how == COPY) copy_blob(file, made);
  else if (file->how == GUNZIP) decode_blob(file, made, decoder);
  if (file->how != GUNZIP) relocate(file, made);
  /* open(2) gave the permissions; the other three bits come after the last write, which would clear them. */
  if ((file->mode & ~0777u) != 0 && fchmod(made, file->mode) != 0) die("set the mode of", name);
  if (futimens(made, restored_times) != 0) die("set the time of", name);
  close(made);
}

static void fill_directory(const struct directory *directory, struct decoder *decoder) {
  int opened = openat(target, strings + directory->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (opened < 0) die("enter", strings + directory->path);
  for (uint32_t index = 0; index < directory->links; index++) {
    const struct link *link = &links[directory->first_link + index];
    if (symlinkat(strings + link->target, opened, strings + link->name) != 0) die("link", strings + link->name);
  }
  for (uint32_t index = 0; index < directory->files; index++)
    make_file(&files[directory->first_file + index], opened, decoder);
  close(opened);
}

static void *work(void *unused) {
  struct decoder decoder;
  start_decoder(&decoder);
  for (;;) {
    unsigned index = atomic_fetch_add(&next_directory, 1);
    if (index >= header->directories) return unused;
    while (atomic_load(&made_directories) <= index) sched_yield();
    if (directories[index].files + directories[index].links > 0) fill_directory(&directories[index], &decoder);
  }
}

static void load_list(const char *path) {
  int descriptor = open(path, O_RDONLY);
  struct stat status;
  if (descriptor < 0 || fstat(descriptor, &status) != 0) die("open", path);
  const uint8_t *bytes = mmap(NULL, status.st_size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, descriptor, 0);
  if (bytes == MAP_FAILED) die("read", path);
  header = (const void *)bytes;
  directories = (const void *)(header + 1);
  links = (const void *)(directories + header->directories);
  files = (const void *)(links + header->links);
  rewrites = (const void *)(files + header->files);
  strings = (const void *)(rewrites + header->rewrites);
  size_t wanted = (const uint8_t *)strings + header->string_bytes - bytes;
  if (header->magic != MAGIC || wanted != (size_t)status.st_size) {
    fprintf(stderr, "limit: %s is no list of this version\n", path);
    exit(1);
  }
}

static void make_target(const char *path) {
  if (mkdir(path, DIRECTORY_MODE) != 0) die("make", path);
  target = open(path, O_RDONLY | O_DIRECTORY);
  if (target < 0) die("enter", path);
}

/* The first is TARGET itself; parents come before their children. */
static void make_directories(void) {
  for (uint32_t index = 1; index < header->directories; index++) {
    if (mkdirat(target, strings + directories[index].path, DIRECTORY_MODE) != 0)
      die("make", strings + directories[index].path);
    atomic_store(&made_directories, index + 1);
  }
}

static void settle_directories(void) {
  for (uint32_t index = 0; index < header->directories; index++)
    if (directories[index].settle && utimensat(target, strings + directories[index].path, restored_times, 0) != 0)
      die("set the time of", strings + directories[index].path);
}

int main(int count, char **arguments) {
  if (count == 2 && strcmp(arguments[1], "--version") == 0) {
#ifdef WITH_LIBDEFLATE
    puts("libdeflate " LIBDEFLATE_VERSION_STRING);
#else
    puts("zlib " ZLIB_VERSION);
#endif
    return 0;
  }
  unsigned threads = count == 5 ? strtoul(arguments[1], NULL, 10) : 0;
  if (threads < 1 || threads > THREADS_MAX) {
    fprintf(stderr, "usage: limit THREADS LIST LIBRARY TARGET\n");
    return 2;
  }
  umask(0);
  load_list(arguments[2]);
  library = open(arguments[3], O_RDONLY | O_DIRECTORY);
  if (library < 0) die("open", arguments[3]);
  make_target(arguments[4]);
  atomic_store(&made_directories, 1);
  pthread_t others[THREADS_MAX];
  for (unsigned index = 1; index < threads; index++)
    if ((errno = pthread_create(&others[index], NULL, work, NULL)) != 0) die("start", "a thread");
  make_directories();
  work(NULL);
  for (unsigned index = 1; index < threads; index++) pthread_join(others[index], NULL);
  settle_directories();
  return 0;
}
