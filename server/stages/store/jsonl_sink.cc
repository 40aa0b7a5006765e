#include "server/stages/store/jsonl_sink.h"

#include <algorithm>

#include "server/stages/store/aside_file.h"
#include "server/stages/store/pages.h"

namespace millrace::store {
namespace {

Status WriteLines(AsideFile& file, const std::vector<InputItem>& items) {
  for (const InputItem& item : items) {
    std::string line = *item.json;
    // JSON has line breaks only between tokens, so a blank can replace each.
    std::replace(line.begin(), line.end(), '\n', ' ');
    std::replace(line.begin(), line.end(), '\r', ' ');
    line.push_back('\n');
    MR_RETURN_IF_ERROR(file.Write(line));
  }
  return absl::OkStatus();
}

class JsonlSink final : public SinkStage {
 public:
  JsonlSink(const v1::JsonlSink& sink, std::string path) : shown_(sink.path()), path_(std::move(path)) {}

  Task<Status> Write(StageContext& context, ItemReader& reader) const override {
    const auto file = std::make_shared<AsideFile>(path_, shown_, AsideOwner(context.run, context.stage));
    MR_CO_RETURN_IF_ERROR(co_await OnPool(context, file, [](AsideFile& opened) { return opened.Open(); }));
    MR_CO_RETURN_IF_ERROR(co_await ForEachPage(context, reader, file, WriteLines));
    co_return co_await OnPool(context, file, [](AsideFile& whole) { return whole.Commit(); });
  }

 private:
  const std::string shown_;
  const std::string path_;
};

}  // namespace

std::unique_ptr<SinkStage> MakeJsonlSink(const v1::JsonlSink& sink, std::string path) {
  return std::make_unique<JsonlSink>(sink, std::move(path));
}

}  // namespace millrace::store
