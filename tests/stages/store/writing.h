// Runs a sink over items, as the engine does, on a real loop and pool.
#pragma once

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <stdlib.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>
#include <memory>
#include <sstream>
#include <string>
#include <vector>

#include "server/base/pool.h"
#include "server/files/files.h"
#include "server/stages/stage_work.h"
#include "server/stages/store/store.h"

namespace millrace::store {

// A directory for one test.
class TempDir {
 public:
  TempDir() {
    std::string name = (std::filesystem::temp_directory_path() / "millrace-XXXXXX").string();
    path_ = ::mkdtemp(name.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  std::filesystem::path operator/(std::string_view name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

inline std::string Slurp(const std::filesystem::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

// Items made when they are read, so that a million need no memory.
class MadeItems final : public ItemReader {
 public:
  MadeItems(int64_t count, std::function<std::string(int64_t)> json, size_t page = 512)
      : count_(count), json_(std::move(json)), page_(page) {}

  Task<StatusOr<std::vector<InputItem>>> Next() override {
    std::vector<InputItem> items;
    for (; next_ < count_ && items.size() < page_; ++next_) {
      items.push_back({.ordinal = next_,
                       .id = fmt::format("i{}", next_),
                       .json = std::make_shared<const std::string>(json_(next_))});
    }
    co_return items;
  }
  void Rewind() override { next_ = 0; }

 private:
  const int64_t count_;
  const std::function<std::string(int64_t)> json_;
  const size_t page_;
  int64_t next_ = 0;
};

inline StatusOr<std::unique_ptr<SinkStage>> MakeSink(const v1::Store& store) {
  v1::Pipeline pipeline;
  v1::Stage stage;
  *stage.mutable_store() = store;
  const FileRoots files({"/"}, {"/"});
  MR_ASSIGN_OR_RETURN(StageWork work, StoreKind().make({.pipeline = pipeline, .stage = stage, .files = files}));
  return std::get<std::unique_ptr<SinkStage>>(std::move(work));
}

struct Writing {
  std::string generation = "r-1/0";
  std::string pipeline = "p";
  std::string stage = "saved";
};

inline Status WriteAll(const v1::Store& store, ItemReader& reader, const Writing& how = {}) {
  const StatusOr<std::unique_ptr<SinkStage>> sink = MakeSink(store);
  if (!sink.ok()) return sink.status();
  SystemClock clock;
  Loop loop(clock);
  const std::unique_ptr<Pool> pool = MakeThreadPool(loop, 2);
  StageContext context{.loop = loop,
                       .pool = *pool,
                       .run = how.generation.substr(0, how.generation.find('/')),
                       .pipeline = how.pipeline,
                       .stage = how.stage,
                       .generation = how.generation,
                       .as_of_micros = 0,
                       .stop = nullptr};
  Status status;
  const auto write = [](const SinkStage& stage, StageContext& context, ItemReader& reader,
                        Status& status) -> Task<void> {
    status = co_await stage.Write(context, reader);
    context.loop.Stop();
  };
  loop.Spawn(write(**sink, context, reader, status));
  loop.Run();
  return status;
}

inline Status WriteItems(const v1::Store& store, const std::vector<std::string>& items, const Writing& how = {}) {
  MadeItems reader(
      static_cast<int64_t>(items.size()), [&](int64_t i) { return items[static_cast<size_t>(i)]; }, 2);
  return WriteAll(store, reader, how);
}

}  // namespace millrace::store
