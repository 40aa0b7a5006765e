#include "tests/engine/world.h"

#include <google/protobuf/util/json_util.h>

#include "server/stages/stage_work.h"

namespace millrace {
namespace {

json::object Parse(std::string_view text) {
  const StatusOr<json::value> value = ParseJson(text);
  return value.ok() && value->is_object() ? value->as_object() : json::object();
}

std::string Text(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  if (value == nullptr || !value->is_string()) return "";
  return {value->as_string().data(), value->as_string().size()};
}

int64_t Number(const json::object& object, std::string_view name) {
  const json::value* value = object.if_contains({name.data(), name.size()});
  return value != nullptr && value->is_int64() ? value->as_int64() : 0;
}

StageItem Made(std::string json) {
  StageItem item;
  item.json = std::move(json);
  return item;
}

// One JSON object a line, each with an id.
class LineReader final : public RowReader {
 public:
  StatusOr<Rows> Feed(std::string_view bytes, bool end) override {
    Rows result;
    while (true) {
      const size_t newline = bytes.find('\n', result.consumed);
      if (newline == std::string_view::npos && !(end && result.consumed < bytes.size())) break;
      const std::string_view line = bytes.substr(result.consumed, newline - result.consumed);
      result.consumed = newline == std::string_view::npos ? bytes.size() : newline + 1;
      ++rows_;
      FetchedRow row;
      const json::object object = Parse(line);
      row.id = Text(object, "id");
      if (object.empty()) {
        row.item = FailedItem(v1::ERROR_REASON_BAD_ROW, fmt::format("line {} is no JSON", rows_));
      } else {
        row.item = Made(std::string(line));
      }
      result.rows.push_back(std::move(row));
    }
    return result;
  }
  std::string State() const override { return std::to_string(rows_); }
  Status Restore(std::string_view state) override {
    rows_ = std::stoll(std::string(state));
    return absl::OkStatus();
  }

 private:
  int64_t rows_ = 0;
};

class ToyFetch final : public FetchStage {
 public:
  explicit ToyFetch(std::string path) : path_(std::move(path)) {}
  std::string path() const override { return path_; }
  std::unique_ptr<RowReader> MakeReader() const override {
    if (path_.empty()) return nullptr;
    return std::make_unique<LineReader>();
  }
  FetchedRow FromClient(const v1::InputItem& item, int64_t) const override {
    FetchedRow row;
    const json::object object = Parse(item.json());
    row.id = item.id().empty() ? Text(object, "id") : item.id();
    row.item = object.empty() ? FailedItem(v1::ERROR_REASON_BAD_ITEM, "no JSON object") : Made(item.json());
    return row;
  }

 private:
  const std::string path_;
};

// Drops, fails or marks an item as its fields say.
class ToyPrepare final : public PureStage {
 public:
  explicit ToyPrepare(Outside& outside) : outside_(outside) {}
  std::vector<StageItem> Compute(std::vector<ParsedItem> items) const override {
    std::vector<StageItem> made;
    for (ParsedItem& input : items) {
      ++outside_.prepared;
      json::object object = std::move(input.value.as_object());
      if (object.contains("drop")) {
        made.push_back(SkippedItem(v1::ERROR_REASON_DROPPED, "dropped"));
      } else if (object.contains("fail")) {
        made.push_back(FailedItem(v1::ERROR_REASON_VALIDATION, "failed"));
      } else {
        object["prepared"] = true;
        made.push_back(Made(WriteJson(object)));
        made.back().id = Text(object, "rename");
      }
    }
    return made;
  }

 private:
  Outside& outside_;
};

// Asks about the item's text. Parks an item until its `wake` (seconds of simulated wall time).
class ToySynthesize final : public CallingStage {
 public:
  explicit ToySynthesize(const v1::Synthesize& definition) : definition_(definition) {}
  Task<StageItem> Process(CallingContext& context, ParsedItem item) const override {
    json::object object = std::move(item.value.as_object());
    const int64_t wake_micros = Number(object, "wake") * 1'000'000;
    if (wake_micros > context.stage.loop.clock().WallMicros()) {
      StageItem parked;
      parked.wake_micros = wake_micros;
      co_return parked;
    }
    CallRequest request;
    request.model_alias = definition_.model();
    request.question.messages.push_back({"user", Text(object, "text")});
    CallContext call = context.call;
    CallOutcome outcome = co_await context.calls.Handle(std::move(call), std::move(request));
    StageItem made;
    made.stopped = outcome.stopped;
    if (outcome.stopped) co_return made;
    if (!outcome.status.ok()) {
      made = FailedItem(outcome.status);
      if (definition_.has_fallback()) {
        made.state = v1::ITEM_STATE_DEGRADED;
        object["answer"] = "fallback";
        made.json = WriteJson(object);
      }
    } else {
      object["answer"] = outcome.text;
      made.json = WriteJson(object);
    }
    made.call_keys = std::move(outcome.call_keys);
    made.totals = outcome.totals;
    made.settlement = std::move(outcome.settlement);
    co_return made;
  }

 private:
  const v1::Synthesize definition_;
};

// One item for each value of `group`, in order; items without one are left out.
class ToyCluster final : public BarrierStage {
 public:
  explicit ToyCluster(Outside& outside) : outside_(outside) {}
  Task<Status> Run(StageContext&, ItemReader& reader, ItemWriter& writer) const override {
    ++outside_.clustered;
    std::map<std::string, std::vector<std::string>> groups;
    std::vector<StageItem> left_out;
    while (true) {
      MR_CO_ASSIGN_OR_RETURN(const std::vector<InputItem> items, co_await reader.Next());
      if (items.empty()) break;
      for (const InputItem& item : items) {
        const std::string group = Text(Parse(*item.json), "group");
        if (!group.empty()) {
          groups[group].push_back(item.id);
          continue;
        }
        left_out.push_back(SkippedItem(v1::ERROR_REASON_NO_GROUP, "in no group"));
        left_out.back().id = item.id;
      }
    }
    std::vector<StageItem> made;
    for (const auto& [group, members] : groups) {
      json::object object{{"id", "g-" + group}, {"text", group}, {"size", members.size()}};
      made.push_back(Made(WriteJson(object)));
      made.back().id = "g-" + group;
      made.back().input_ids = members;
    }
    MR_CO_RETURN_IF_ERROR(co_await writer.Put(std::move(made)));
    co_return co_await writer.Put(std::move(left_out));
  }

 private:
  Outside& outside_;
};

class ToySink final : public SinkStage {
 public:
  explicit ToySink(Outside& outside) : outside_(outside) {}
  Task<Status> Write(StageContext& context, ItemReader& reader) const override {
    std::vector<std::string> ids;
    while (true) {
      MR_CO_ASSIGN_OR_RETURN(const std::vector<InputItem> items, co_await reader.Next());
      if (items.empty()) break;
      for (const InputItem& item : items) ids.push_back(item.id);
    }
    if (outside_.fault) MR_CO_RETURN_IF_ERROR(outside_.fault("sink"));
    if (!outside_.generations.empty() && outside_.generations.back() == context.generation) {
      outside_.sink.back() = std::move(ids);  // the same generation again changes nothing
    } else {
      outside_.sink.push_back(std::move(ids));
      outside_.generations.push_back(context.generation);
    }
    co_return absl::OkStatus();
  }

 private:
  Outside& outside_;
};

class ToyFile final : public ByteSource {
 public:
  ToyFile(Outside& outside, std::string path) : outside_(outside), path_(std::move(path)) {}
  Task<StatusOr<Chunk>> Read(int64_t offset, size_t size) override {
    ++outside_.reads;
    const std::string& file = outside_.files[path_];
    Chunk chunk;
    chunk.bytes = file.substr(static_cast<size_t>(offset), size);
    chunk.end = static_cast<size_t>(offset) + chunk.bytes.size() == file.size();
    co_return chunk;
  }
  Task<StatusOr<std::string>> Identity() override { co_return std::string(Digest::Of(outside_.files[path_]).bytes()); }

 private:
  Outside& outside_;
  const std::string path_;
};

}  // namespace

StageRegistry ToyKinds(Outside& outside) {
  StageRegistry kinds;
  const auto add = [&](std::string name, StageShape shape, std::function<StageWork(const v1::Stage&)> make) {
    StageKind kind;
    kind.name = std::move(name);
    kind.shape = shape;
    if (shape == StageShape::kCalling) {
      kind.models = [](const v1::Stage& stage) { return std::vector<std::string>{stage.synthesize().model()}; };
    }
    kind.make = [make = std::move(make)](const StageDefinition& definition) -> StatusOr<StageWork> {
      return make(definition.stage);
    };
    kinds.Add(std::move(kind));
  };
  add("fetch", StageShape::kFetch, [](const v1::Stage& stage) {
    return std::make_unique<ToyFetch>(stage.fetch().has_jsonl() ? stage.fetch().jsonl().path() : "");
  });
  add("prepare", StageShape::kPure, [&outside](const v1::Stage&) { return std::make_unique<ToyPrepare>(outside); });
  add("synthesize", StageShape::kCalling,
      [](const v1::Stage& stage) { return std::make_unique<ToySynthesize>(stage.synthesize()); });
  add("cluster", StageShape::kBarrier, [&outside](const v1::Stage&) { return std::make_unique<ToyCluster>(outside); });
  add("store", StageShape::kSink, [&outside](const v1::Stage&) { return std::make_unique<ToySink>(outside); });
  return kinds;
}

World::World(uint64_t the_seed) : kinds(ToyKinds(outside)), seed(the_seed) {
  options.checks_definitions = false;
  options.open_file = [this](Loop&, Pool&, const FileAccess&,
                             const std::string& path) -> StatusOr<std::unique_ptr<ByteSource>> {
    if (!outside.files.contains(path)) return MakeError(Reason::kFileError, "no such file");
    return std::make_unique<ToyFile>(outside, path);
  };
  Start();
}

World::~World() {
  if (loop) loop->Abandon();
}

void World::Start() {
  ++boots;
  loop = std::make_unique<Loop>(clock);
  pool = MakeInlinePool(*loop, std::chrono::microseconds(50));
  store = std::make_unique<MemoryStore>(*loop, disk, store_options);
  calls = std::make_unique<ToyCalls>(*loop, *store, outside);
  EngineDeps parts{*loop, *pool, *store, *calls, *calls, *calls, *calls, kinds, files};
  parts.cpu_time = [this, spent = Duration(0)]() mutable { return spent += cpu_step; };
  parts.tracer = tracer;
  engine = std::make_unique<Engine>(parts, Random(seed * 1000 + static_cast<uint64_t>(boots)), options);
  const Status recovered = Do(engine->Recover());
  EXPECT_TRUE(recovered.ok()) << MessageOf(recovered);
}

void World::Crash(bool power_loss) {
  loop->Abandon();
  engine.reset();
  calls.reset();
  store.reset();
  pool.reset();
  loop.reset();
  outside.in_flight = 0;
  if (power_loss) {
    Random random(seed + static_cast<uint64_t>(boots));
    disk.LoseUnsynced(random);
  }
  Start();
}

void World::Pass(Duration duration) {
  const TimePoint end = clock.Now() + duration;
  loop->RunUntil([] { return false; }, end);
  if (clock.Now() < end) clock.AdvanceTo(end);
  loop->RunReady();
}

v1::Run World::Create(v1::CreateRunRequest request) {
  auto response = Do(engine->runs().CreateRun({}, std::move(request)));
  EXPECT_TRUE(response.ok()) << MessageOf(response.status());
  return response.ok() ? response->run() : v1::Run();
}

v1::Run World::Create(const v1::Pipeline& pipeline, const std::vector<std::string>& items) {
  v1::CreateRunRequest request;
  *request.mutable_definition() = pipeline;
  v1::InlineItems& inputs = (*request.mutable_items())[pipeline.stages(0).name()];
  for (const std::string& item : items) inputs.add_items()->set_json(item);
  return Create(std::move(request));
}

v1::Run World::CreateFromFile(const std::vector<std::string>& stages, int count) {
  for (const std::string& item : MakeItems(count)) outside.files["titles.jsonl"] += item + "\n";
  v1::CreateRunRequest request;
  *request.mutable_definition() = MakePipeline(stages);
  StageOf(*request.mutable_definition(), "in").mutable_fetch()->mutable_jsonl()->set_path("titles.jsonl");
  options.read_bytes = 500;
  Crash();
  return Create(std::move(request));
}

v1::Run World::Wait(const std::string& run) {
  v1::WaitRunRequest request;
  request.set_run(run);
  auto response = Do(engine->runs().WaitRun({}, std::move(request)));
  EXPECT_TRUE(response.ok()) << MessageOf(response.status());
  return response.ok() ? response->run() : v1::Run();
}

v1::Run World::Get(const std::string& run) {
  v1::GetRunRequest request;
  request.set_run(run);
  auto response = Do(engine->runs().GetRun({}, std::move(request)));
  EXPECT_TRUE(response.ok()) << MessageOf(response.status());
  return response.ok() ? response->run() : v1::Run();
}

std::vector<v1::Item> World::Items(const std::string& run, const std::string& stage) {
  std::vector<v1::Item> items;
  v1::ListItemsRequest request;
  request.set_run(run);
  request.set_stage(stage);
  request.set_page_size(7);
  do {
    auto response = Do(engine->runs().ListItems({}, request));
    EXPECT_TRUE(response.ok()) << MessageOf(response.status());
    if (!response.ok()) break;
    items.insert(items.end(), response->items().begin(), response->items().end());
    request.set_page_token(response->next_page_token());
  } while (!request.page_token().empty());
  return items;
}

std::vector<std::string> World::States(const std::string& run, const std::string& stage) {
  std::vector<std::string> states;
  for (const v1::Item& item : Items(run, stage)) {
    states.push_back(item.id() + "=" + v1::ItemState_Name(item.state()).substr(std::string("ITEM_STATE_").size()));
  }
  return states;
}

std::vector<v1::RunEvent> World::Events(const std::string& run) {
  std::vector<v1::RunEvent> events;
  v1::WatchRunRequest request;
  request.set_run(run);
  while (true) {
    auto page = Do(engine->runs().NextEvents(RequestContext(clock.Now() + 1s), request));
    EXPECT_TRUE(page.ok()) << MessageOf(page.status());
    if (!page.ok() || page->events.empty()) return events;
    events.insert(events.end(), page->events.begin(), page->events.end());
    request.set_after(events.back().number());
  }
}

const v1::StageProgress& World::Stage(const v1::Run& run, const std::string& stage) {
  for (const v1::StageProgress& progress : run.stages()) {
    if (progress.stage() == stage) return progress;
  }
  ADD_FAILURE() << "no stage " << stage;
  return v1::StageProgress::default_instance();
}

v1::Pipeline MakePipeline(const std::vector<std::string>& stages) {
  v1::Pipeline pipeline;
  pipeline.set_name("toy");
  for (const std::string& text : stages) {
    v1::Stage& stage = *pipeline.add_stages();
    const size_t first = text.find(':');
    const size_t second = text.find(':', first + 1);
    stage.set_name(text.substr(0, first));
    const std::string kind = text.substr(first + 1, second - first - 1);
    if (kind == "fetch") stage.mutable_fetch()->mutable_inline_();
    if (kind == "prepare") stage.mutable_prepare();
    if (kind == "synthesize") stage.mutable_synthesize()->set_model("writer");
    if (kind == "cluster") stage.mutable_cluster();
    if (kind == "store") stage.mutable_store();
    if (second == std::string::npos) continue;
    std::string needs = text.substr(second + 1);
    while (!needs.empty()) {
      const size_t comma = needs.find(',');
      stage.add_needs(needs.substr(0, comma));
      needs = comma == std::string::npos ? "" : needs.substr(comma + 1);
    }
  }
  return pipeline;
}

v1::Pipeline Linear() { return MakePipeline({"in:fetch", "told:synthesize:in", "out:store:told"}); }

v1::Stage& StageOf(v1::Pipeline& pipeline, const std::string& name) {
  for (v1::Stage& stage : *pipeline.mutable_stages()) {
    if (stage.name() == name) return stage;
  }
  ADD_FAILURE() << "no stage " << name;
  return *pipeline.add_stages();
}

std::vector<std::string> MakeItems(int count, const std::string& prefix) {
  std::vector<std::string> items;
  for (int i = 0; i < count; ++i) {
    items.push_back(fmt::format(R"({{"id":"{}{}","text":"text {}{}","group":"{}"}})", prefix, i, prefix, i, i % 5));
  }
  return items;
}

}  // namespace millrace
