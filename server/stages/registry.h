// The kinds of stages. A kind is registered by value and asked about itself; nobody knows it by its name.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "millrace/v1/pipeline.pb.h"
#include "server/base/status.h"
#include "server/text/field_tree.h"

namespace millrace {

class BarrierStage;
class CallingStage;
class FetchStage;
class FileAccess;
class PureStage;
class SharedObjects;
class SinkStage;

// A stage ready to work. Whoever makes, moves or destroys one includes stage_work.h.
using StageWork = std::variant<std::unique_ptr<PureStage>, std::unique_ptr<CallingStage>, std::unique_ptr<BarrierStage>,
                               std::unique_ptr<SinkStage>, std::unique_ptr<FetchStage>>;

// How a stage treats items, in the order of StageWork.
enum class StageShape {
  kPure,     // computes one item of each
  kCalling,  // calls models about each
  kBarrier,  // makes items of all items at once
  kSink,     // writes all items to outside
  kFetch,    // reads items from outside
};

// Returns true if the stage works on items one by one, as they come.
inline bool WorksOnEach(StageShape shape) { return shape == StageShape::kPure || shape == StageShape::kCalling; }

// Definition of a stage to make. The references are valid only while the stage is made.
struct StageDefinition {
  const v1::Pipeline& pipeline;  // for its definition files
  const v1::Stage& stage;        // with its parameters bound
  const FileAccess& files;
  SharedObjects* shared = nullptr;  // tables of definition files that other runs use, too; null: none are shared
};

// A file that a stage reads or writes.
struct StageFile {
  std::string field;          // the stage's field that names it, by its path in the stage: `fetch.csv.path`
  std::string path;           // as that field has it; empty if it is not set
  bool holds_tables = false;  // written only in parts, which other stages' parts may stand beside
};

// A kind of stage. A function that is not set counts as one that returns nothing: no models, no files.
struct StageKind {
  std::string name;           // of the member of Stage.kind that defines it: `fetch`, `prepare`, …
  int semantics_version = 1;  // raise it when the same definition and input give another output
  StageShape shape = StageShape::kPure;

  // Makes a stage of that shape. INVALID_ARGUMENT (INVALID_DEFINITION) with fields by their path in the stage, such as
  // `synthesize.prompt`, for all that the rules of the message's own fields can't say.
  std::function<StatusOr<StageWork>(const StageDefinition&)> make;

  // Returns the models that a stage calls, by their aliases in the server's configuration. The identities of their
  // targets are a part of the stage's memo keys.
  std::function<std::vector<std::string>(const v1::Stage&)> models;
  // Returns the files from outside that a stage reads, and those that it writes.
  std::function<std::vector<StageFile>(const v1::Stage&)> reads;
  std::function<std::vector<StageFile>(const v1::Stage&)> writes;

  // Fields of the items that a stage makes, beside those that fields of its definition name (`writes_field`).
  struct Fields {
    FieldTree made = FieldTree::Any();
    bool fresh = false;  // items have these fields only; no field of the input goes through
  };
  // Not set: the fields are not known.
  std::function<Fields(const v1::Stage&)> fields;
  // Returns the field of input items that the stage reads because its definition has `name` at `path` (in the stage);
  // empty: none, such as `similarity` in a rule of a merge. Not set: every name is that of a field. The names are those
  // of the definition's fields marked `reads_field`, and the names in its templates (`item_template`).
  std::function<std::string(const v1::Stage&, std::string_view path, std::string_view name)> field_read;
  // Returns what is allowed and hardly meant, with fields by their path in the stage: a prompt that asks the same about
  // every item. Not set: nothing.
  std::function<std::vector<FieldViolation>(const v1::Pipeline&, const v1::Stage&)> doubts;
};

// Kinds by name. A value, owned by whoever builds the engine.
class StageRegistry {
 public:
  // Adds a kind; replaces one with the same name. REQUIRES: a kind that calls models has `models`.
  void Add(StageKind kind);
  // Returns the kind with this name; null if there is none.
  const StageKind* Find(std::string_view name) const;
  // Returns the kind of a stage, by the member of Stage.kind that is set; null if none is, or if its kind is not here.
  const StageKind* Of(const v1::Stage& stage) const;
  const std::map<std::string, StageKind, std::less<>>& kinds() const { return kinds_; }

  // Returns the answers of the stage's kind; nothing if it is not here.
  std::optional<StageShape> ShapeOf(const v1::Stage& stage) const;
  std::vector<std::string> ModelsOf(const v1::Stage& stage) const;
  std::vector<StageFile> FilesReadBy(const v1::Stage& stage) const;
  std::vector<StageFile> FilesWrittenBy(const v1::Stage& stage) const;

 private:
  std::map<std::string, StageKind, std::less<>> kinds_;
};

// Returns the name of the member of `kind` that is set; empty if none is.
std::string KindName(const v1::Stage& stage);

// Returns the kinds of the product: the one list of them (builtin.cc).
StageRegistry BuiltinStages();

}  // namespace millrace
