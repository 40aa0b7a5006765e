// The parts that the engine and its runs use, and how they are set up. Everything that reaches outside (store, models,
// files, time) is injected, so that the same engine runs in the simulator.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "server/base/loop.h"
#include "server/base/pool.h"
#include "server/base/shared_objects.h"
#include "server/files/byte_source.h"
#include "server/files/file_access.h"
#include "server/llm/answer_memory.h"
#include "server/llm/call.h"
#include "server/llm/call_traffic.h"
#include "server/llm/model_directory.h"
#include "server/stages/registry.h"
#include "server/storage/store.h"
#include "server/trace/tracer.h"

namespace millrace {

// Everything here outlives the engine and the coroutines of its loop.
struct EngineDeps {
  Loop& loop;
  Pool& pool;
  Store& store;
  CallHandler& calls;
  ModelDirectory& models;
  AnswerMemory& answers;
  CallTraffic& traffic;
  const StageRegistry& stages;
  const FileAccess& files;
  // Returns the CPU time that the calling thread has used. Empty (in simulated time): CPU time is not counted.
  std::function<Duration()> cpu_time = nullptr;
  // Null: nothing is traced.
  trace::Tracer* tracer = nullptr;
  // Pools of their own for work whose cost is not known to be small, so that it never keeps the store's reads and other
  // runs waiting: stages that compute for long, and checks of definitions. Null: `pool`.
  Pool* slow_pool = nullptr;
  Pool* checks_pool = nullptr;
  // Tables of definition files that runs share.
  std::shared_ptr<SharedObjects> shared = std::make_shared<SharedObjects>();

  Pool& slow() const { return slow_pool != nullptr ? *slow_pool : pool; }
  Pool& checks() const { return checks_pool != nullptr ? *checks_pool : pool; }
};

struct EngineOptions {
  // Shown by GetStatus.
  std::string version;
  int64_t pid = 0;
  std::string data_dir;             // last component of its path
  std::string durability = "sync";  // `sync`, `interval 50ms` or `process`

  // True: runs that have not ended continue when the engine starts. False: when a client follows or resumes them.
  bool starts_runs = true;
  // Starts of a run by Recover, without progress and without a clean end of the server in between, after which it is
  // paused: it may be what kills the server. 0: no limit.
  int starts_max = 0;
  int64_t active_runs_max = 1000;    // runs that have not ended; CreateRun refuses more with TOO_MANY
  size_t item_bytes_max = 4u << 20;  // bytes of JSON; a larger item fails
  size_t chunk_items = 256;          // items that are digested, computed and committed together
  size_t channel_items = 2048;       // items that wait between two stages
  size_t channel_bytes = 8u << 20;   // bytes of the items that wait between two stages
  // Bytes of a source that are parsed and committed together. The writer takes no other commit meanwhile.
  size_t read_bytes = 16u << 10;
  Duration progress_interval = std::chrono::milliseconds(500);  // between two Progress events of a run

  // Definitions are checked and their parameters are bound (server/config). False: they are used as they are, for tests
  // with stage kinds of their own.
  bool checks_definitions = true;
  // Opens a file for a fetch, if FileAccess allows it. Empty: fetches of files fail.
  std::function<StatusOr<std::unique_ptr<ByteSource>>(Loop&, Pool&, const FileAccess&, const std::string& path)>
      open_file;
  // The clients are the user whose process this is (a command without a server): the files that parameters of their
  // requests name are theirs to give, wherever they are. False: every file must be below a root.
  bool parameters_name_files = false;
};

}  // namespace millrace
