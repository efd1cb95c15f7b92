/* A libcuda for tests: one GPU, whose memory is the host's, and whose only kernel writes down what it was given. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { OUT_OF_MEMORY = 2, INVALID_PTX = 218, NOT_READY = 3, MEMORY = 1 << 20 };

int fake_major = 9, fake_minor = 0, fake_unloaded = 0;
static int ready = 0;
static _Thread_local void *current = NULL;
static int context, module, function;
static size_t used = 0;

int cuInit(unsigned flags) { ready = flags == 0; return 0; }
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
static int here(void) { return current == &context; }
int cuMemGetInfo_v2(size_t *left, size_t *total) {
    *left = MEMORY - used;
    *total = MEMORY;
    return here() ? 0 : NOT_READY;
}
int cuMemAlloc_v2(uint64_t *address, size_t size) {
    if (!here()) return NOT_READY;
    if (size > MEMORY - used) return OUT_OF_MEMORY;
    size_t *block = malloc(size + 16);
    *block = size;
    used += size;
    *address = (uint64_t)(block + 2);
    return 0;
}
int cuMemFree_v2(uint64_t address) {
    size_t *block = (size_t *)address - 2;
    used -= *block;
    free(block);
    return here() ? 0 : NOT_READY;
}
int cuMemcpyHtoD_v2(uint64_t to, const void *from, size_t size) { memcpy((void *)to, from, size); return !here(); }
int cuMemcpyDtoH_v2(void *to, uint64_t from, size_t size) { memcpy(to, (void *)from, size); return !here(); }
int cuMemcpyDtoD_v2(uint64_t to, uint64_t from, size_t size) { memcpy((void *)to, (void *)from, size); return !here(); }
int cuModuleLoadDataEx(void **made, const void *ptx, unsigned count, int *options, void **values) {
    if (!here() || count != 2 || options[0] != 5 || options[1] != 6) return 1;
    if (strncmp(ptx, ".target sm_90", 13)) {
        snprintf(values[0], (size_t)values[1], "ptxas error: line 1");
        return INVALID_PTX;
    }
    *made = &module;
    return 0;
}
int cuModuleUnload(void *made) { fake_unloaded += made == &module; return 0; }
int cuModuleGetFunction(void **made, void *of, const char *name) {
    *made = &function;
    return of == &module && !strcmp(name, "code_slices") ? 0 : 500;
}
int cuFuncGetAttribute(int *value, int attribute, void *of) {
    *value = 1000;
    return attribute == 3 && of == &function ? 0 : 1;
}
int cuLaunchKernel(void *run, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned shared, void *stream, void **arguments, void **extra) {
    if (!here() || run != &function || gy * gz * by * bz != 1 || shared || stream || extra) return 1;
    int64_t *arena = *(int64_t **)arguments[0];
    arena[0] = *(int64_t *)arguments[1];
    arena[1] = *(int64_t *)arguments[2];
    arena[2] = *(int64_t *)arguments[3];
    arena[3] = gx;
    arena[4] = bx;
    return 0;
}
int cuCtxSynchronize(void) { return here() ? 0 : NOT_READY; }
int cuGetErrorString(int status, const char **text) {
    *text = status == OUT_OF_MEMORY ? "out of memory" : status == INVALID_PTX ? "invalid PTX" : NULL;
    return *text ? 0 : 1;
}
