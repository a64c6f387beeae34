/* Included before QuickJS's sources (see host/xtask/src/setup/typescript.rs). Under WASI, QuickJS leaves out the check of its stack:
   a function that calls itself without end would be a trap of the component, without a word of where. The headers that have to know
   of WASI are read first. */
#include <wasi/api.h>
#include <assert.h>
#include <fenv.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#undef __wasi__
