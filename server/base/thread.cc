#include "server/base/thread.h"

#include <pthread.h>

namespace millrace {

void NameThread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace millrace
