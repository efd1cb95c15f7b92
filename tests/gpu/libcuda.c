/* A libcuda for tests: one GPU, whose memory is the host's.

Work of a stream is not done before it is waited for, so that a forgotten wait shows. The only kernel is the function that
a test has put into fake_kernel, or writes down what it was given. A test can have a function fail. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_OF_MEMORY = 2, NOT_READY = 3, INVALID_PTX = 218, FIRST_LASTING = 700, SIZE_OF_BLOCK = 16 };

int fake_major = 9, fake_minor = 0, fake_devices = 1;
int64_t fake_memory = 1 << 20;
int fake_modules = 0, fake_streams = 0, fake_pinned = 0; /* how many there are */
void (*fake_kernel)(const char *ptx, int64_t arena, int64_t book, int64_t count, int64_t upto) = NULL;
char fake_failing[64] = ""; /* the function that fails, ... */
int fake_calls = 0, fake_status = 0; /* at this call of it from now on, and how */

static int ready = 0, lasting = 0;
static _Thread_local void *current = NULL;
static int context;
static int64_t used = 0;

typedef struct Module { char ptx[256]; } Module;
typedef struct Work {
    struct Work *next;
    const void *source;
    void *to, *owned;
    size_t source_pitch, to_pitch, width, height;
    Module *kernel;
    int64_t arguments[4], blocks, threads;
} Work;
typedef struct { Work *first, *last; } Stream;
typedef struct { size_t *blocks[64]; } Pinned;
static Pinned pinned;

void fake_recover(void) { lasting = 0; fake_failing[0] = 0; }

static int fails(const char *function) {
    if (!strcmp(function, fake_failing) && --fake_calls == 0) {
        lasting = fake_status >= FIRST_LASTING ? fake_status : 0; /* the context is of no more use */
        return fake_status;
    }
    return lasting ? lasting : current == &context ? 0 : NOT_READY;
}
#define CHECK do { int status = fails(__func__); if (status) return status; } while (0)

int cuInit(unsigned flags) { ready = flags == 0; return 0; }
int cuDeviceGetCount(int *count) { *count = fake_devices; return ready ? 0 : NOT_READY; }
int cuDeviceGet(int *device, int ordinal) { *device = ordinal + 7; return ready ? 0 : NOT_READY; }
int cuDeviceGetName(char *name, int length, int device) {
    snprintf(name, length, "Fake %d", device);
    return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int device) {
    if (device != 7) return 1;
    switch (attribute) {
    case 16: *value = 132; return 0;
    case 39: *value = 2048; return 0;
    case 75: *value = fake_major; return 0;
    case 76: *value = fake_minor; return 0;
    }
    return 1;
}
int cuDevicePrimaryCtxRetain(void **made, int device) { *made = &context; return device == 7 ? 0 : 1; }
int cuCtxSetCurrent(void *made) { current = made; return 0; }

/* memory */

int cuMemGetInfo_v2(size_t *left, size_t *total) {
    CHECK;
    *left = fake_memory - __atomic_load_n(&used, __ATOMIC_SEQ_CST);
    *total = fake_memory;
    return 0;
}
int cuMemAlloc_v2(uint64_t *address, size_t size) {
    CHECK;
    if (__atomic_add_fetch(&used, size, __ATOMIC_SEQ_CST) > fake_memory) {
        __atomic_sub_fetch(&used, size, __ATOMIC_SEQ_CST);
        return OUT_OF_MEMORY;
    }
    char *block = malloc(size + SIZE_OF_BLOCK);
    *(size_t *)block = size;
    memset(block + SIZE_OF_BLOCK, 0xA5, size);
    *address = (uint64_t)(block + SIZE_OF_BLOCK);
    return 0;
}
int cuMemFree_v2(uint64_t address) {
    CHECK;
    char *block = (char *)address - SIZE_OF_BLOCK;
    __atomic_sub_fetch(&used, *(size_t *)block, __ATOMIC_SEQ_CST);
    memset(block + SIZE_OF_BLOCK, 0x5A, *(size_t *)block);
    free(block);
    return 0;
}
int cuMemHostAlloc(void **address, size_t size, unsigned flags) {
    CHECK;
    for (int number = 0; number < 64 && flags == 1; number++)
        if (!pinned.blocks[number]) {
            size_t *block = pinned.blocks[number] = malloc(size + SIZE_OF_BLOCK);
            *block = size;
            *address = (char *)block + SIZE_OF_BLOCK;
            fake_pinned++;
            return 0;
        }
    return 1;
}
int cuMemFreeHost(void *address) {
    CHECK;
    for (int number = 0; number < 64; number++)
        if ((char *)pinned.blocks[number] + SIZE_OF_BLOCK == address) {
            free(pinned.blocks[number]);
            pinned.blocks[number] = NULL;
            fake_pinned--;
            return 0;
        }
    return 1;
}
static int is_pinned(const void *address) {
    for (int number = 0; number < 64; number++) {
        size_t *block = pinned.blocks[number];
        const char *first = (const char *)block + SIZE_OF_BLOCK;
        if (block && (const char *)address >= first && (const char *)address < first + *block) return 1;
    }
    return 0;
}

/* streams */

int cuStreamCreate(void **made, unsigned flags) {
    CHECK;
    *made = calloc(1, sizeof(Stream));
    fake_streams++;
    return flags == 1 ? 0 : 1;
}
int cuStreamSynchronize(void *of) {
    CHECK;
    Stream *stream = of;
    while (stream->first) {
        Work *work = stream->first;
        if (work->kernel && fake_kernel) {
            int64_t *with = work->arguments;
            fake_kernel(work->kernel->ptx, with[0], with[1], with[2], with[3]);
        } else if (work->kernel) {
            int64_t *arena = (int64_t *)work->arguments[0];
            memcpy(arena, work->arguments + 1, 3 * sizeof(int64_t));
            arena[3] = work->blocks;
            arena[4] = work->threads;
        } else
            for (size_t row = 0; row < work->height; row++)
                memcpy((char *)work->to + row * work->to_pitch, (char *)work->source + row * work->source_pitch, work->width);
        stream->first = work->next;
        free(work->owned);
        free(work);
    }
    return 0;
}
int cuStreamDestroy_v2(void *of) {
    Stream *stream = of;
    fake_streams--;
    int is_idle = !stream->first;
    free(stream);
    return is_idle ? 0 : 1;
}
static void add(Stream *stream, Work given) {
    Work *work = malloc(sizeof(Work));
    *work = given;
    if (stream->first) stream->last->next = work; else stream->first = work;
    stream->last = work;
}
static int copy_rows(Work work, int from_host, int to_host, void *stream) {
    if (work.height > 1 && (work.source_pitch < work.width || work.to_pitch < work.width)) return 1;
    if (from_host && !is_pinned(work.source)) { /* a copy is taken at once */
        char *owned = work.owned = malloc(work.width * work.height);
        for (size_t row = 0; row < work.height; row++)
            memcpy(owned + row * work.width, (char *)work.source + row * work.source_pitch, work.width);
        work.source = owned;
        work.source_pitch = work.width;
    }
    add(stream, work);
    return to_host && !is_pinned(work.to) ? cuStreamSynchronize(stream) : 0;
}
int cuMemcpyHtoDAsync_v2(uint64_t to, const void *from, size_t size, void *stream) {
    CHECK;
    return copy_rows((Work){.source = from, .to = (void *)to, .width = size, .height = 1}, 1, 0, stream);
}
int cuMemcpyDtoHAsync_v2(void *to, uint64_t from, size_t size, void *stream) {
    CHECK;
    return copy_rows((Work){.source = (void *)from, .to = to, .width = size, .height = 1}, 0, 1, stream);
}
int cuMemcpyDtoDAsync_v2(uint64_t to, uint64_t from, size_t size, void *stream) {
    CHECK;
    return copy_rows((Work){.source = (void *)from, .to = (void *)to, .width = size, .height = 1}, 0, 0, stream);
}
typedef struct { size_t x, y; int kind; void *host; uint64_t device; void *array; size_t pitch; } Side;
typedef struct { Side source, to; size_t width, height; } Rows;
int cuMemcpy2DAsync_v2(const Rows *rows, void *stream) {
    CHECK;
    const Side *source = &rows->source, *to = &rows->to;
    if (source->x | source->y | to->x | to->y || source->kind + to->kind != 3) return 1;
    Work work = {.source = source->kind == 1 ? source->host : (void *)source->device, .source_pitch = source->pitch,
                 .to = to->kind == 1 ? to->host : (void *)to->device, .to_pitch = to->pitch,
                 .width = rows->width, .height = rows->height};
    return copy_rows(work, source->kind == 1, to->kind == 1, stream);
}

/* kernels */

int cuModuleLoadDataEx(void **made, const void *ptx, unsigned count, int *options, void **values) {
    CHECK;
    if (count != 2 || options[0] != 5 || options[1] != 6) return 1;
    if (strncmp(ptx, ".target sm_90", 13)) {
        snprintf(values[0], (size_t)values[1], "ptxas error: line 1");
        return INVALID_PTX;
    }
    Module *module = calloc(1, sizeof(Module));
    strncpy(module->ptx, ptx, sizeof(module->ptx) - 1);
    *made = module;
    fake_modules++;
    return 0;
}
int cuModuleUnload(void *made) { CHECK; free(made); fake_modules--; return 0; }
int cuModuleGetFunction(void **made, void *of, const char *name) {
    CHECK;
    *made = of;
    return strcmp(name, "code_slices") ? 500 : 0;
}
int cuFuncGetAttribute(int *value, int attribute, void *of) {
    CHECK;
    *value = 1000;
    return attribute == 3 && of ? 0 : 1;
}
int cuLaunchKernel(void *run, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **extra) {
    CHECK;
    if (gy * gz * by * bz != 1 || shared || !stream || extra) return 1;
    Work work = {.kernel = run, .blocks = gx, .threads = bx};
    for (int number = 0; number < 4; number++) work.arguments[number] = *(int64_t *)arguments[number];
    add(stream, work);
    return 0;
}
int cuGetErrorString(int status, const char **text) {
    *text = status == OUT_OF_MEMORY ? "out of memory" : status == INVALID_PTX ? "invalid PTX"
          : status == FIRST_LASTING ? "an illegal memory access was encountered" : NULL;
    return *text ? 0 : 1;
}
