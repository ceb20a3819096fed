# The commands of this project; `make help` lists them.
#
# Needs make, git and Python 3.11 or 3.12 with its venv module. Everything is installed into
# .venv; another place by `make VENV=...`, another interpreter by `make PYTHON=...`.

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PY := $(BIN)/python
DEMO := work_dirs/demo
REAL := work_dirs/real
CONFIGS := configs/mask_rcnn
CONFIG := $(CONFIGS)/hpa-mask-rcnn_lite0_fpn_bag-lse_demo.py
CROPS := configs/crops/crop_lite0_bag-lse_demo.py
SEED := 0
# where the real-* targets find the data
DATA ?=

# the first interpreter of a fitting version whose venv module works
PYTHON ?= $(shell for name in python3.12 python3.11 python3 python; do \
	if $$name -c 'import sys, venv, ensurepip; sys.exit(sys.version_info[:2] not in ((3, 11), (3, 12)))' \
		>/dev/null 2>&1; then echo $$name; break; fi; done)

.DEFAULT_GOAL := help
.PHONY: help install demo crops serve test fuzz check mutants constraints clean \
	real-contest real-truth real-cells real-nuclei real-dictionary

help: ## list the targets
	@echo "make TARGET, where TARGET is one of"
	@grep -hE '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):[^#]*## (.*)/\1\t\2/' \
		| while IFS="$$(printf '\t')" read -r name text; do printf '  %-16s %s\n' "$$name" "$$text"; done

install: $(STAMP) ## make .venv with the package, the demo's weights and the development tools

$(STAMP): pyproject.toml constraints.txt
	@if [ -z "$(PYTHON)" ]; then \
		echo "No Python 3.11 or 3.12 with its venv module found." >&2; \
		echo "On Debian or Ubuntu: apt-get install python3 python3-venv; elsewhere give one: make PYTHON=/path/to/python3.11" >&2; \
		exit 2; fi
	@echo "Installing into $(VENV) with $(PYTHON): some GB, a few minutes, once."
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[demo,dev]'
	# mmcv and mmengine pull opencv-python, which needs the libraries of a desktop; the headless
	# build has the same files, so it must be written last
	$(BIN)/python -m pip uninstall -q -y opencv-python
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt \
		--force-reinstall --no-deps opencv-python-headless
	@touch $@

serve: install ## the web page with the model of `make demo`: http://127.0.0.1:8000
	$(PY) tools/serve.py

demo: install ## the whole way on embedded synthetic data, to a report: work_dirs/demo/report.html
	@date +%s > work_dirs/demo.started
	$(PY) tools/synthesize.py $(DEMO)/data --images 300 --test-images 80 --size 640 640 \
		--seed $(SEED) --overwrite
	$(PY) tools/segment.py $(DEMO)/data/train --out $(DEMO)/masks --workers 2 --overwrite
	$(PY) tools/convert_coco.py $(DEMO)/data/train --masks $(DEMO)/masks \
		--labels $(DEMO)/data/train.csv --out $(DEMO)/data/train.json --overwrite
	$(PY) tools/train.py $(CONFIG) --data-root $(DEMO)/data --work-dir $(DEMO)/train --seed $(SEED)
	$(PY) tools/infer.py $(CONFIG) $(DEMO)/train/fitted.pth $(DEMO)/data/test \
		--out $(DEMO)/prediction --overwrite
	$(PY) tools/infer.py $(CONFIG) $(DEMO)/train/fitted.pth $(DEMO)/data/test \
		--instances masks --masks $(DEMO)/data/truth/test/masks --out $(DEMO)/given --overwrite
	$(PY) tools/evaluate.py $(DEMO)/given/submission.csv $(DEMO)/data/truth/test/cells.json \
		--json $(DEMO)/scores_given_masks.json --overwrite
	$(PY) tools/evaluate.py $(DEMO)/prediction/submission.csv $(DEMO)/data/truth/test/cells.json \
		--cells $(DEMO)/prediction/cells.json --marks --json $(DEMO)/scores.json --overwrite
	cp $(DEMO)/prediction/submission.csv $(DEMO)/submission.csv
	@printf '{"data": "synthetic, tools/synthesize.py", "seed": $(SEED), "seconds from data to scores": %s}' \
		$$(( $$(date +%s) - $$(cat work_dirs/demo.started) )) > $(DEMO)/facts.json
	$(PY) tools/report.py $(DEMO)/train --title "hpa-mmdet demo on synthetic cells" \
		--images $(DEMO)/data/test --truth $(DEMO)/data/truth/test/cells.json \
		--submission $(DEMO)/submission.csv --evaluation $(DEMO)/scores.json \
		--mark "given masks=$(DEMO)/scores_given_masks.json" --facts $(DEMO)/facts.json \
		--out $(DEMO)/report.html --overwrite
	@echo "open $(DEMO)/report.html"

crops: install ## the rival after `make demo`: cells cut out, a tuned classifier, both together
	@test -f $(DEMO)/scores.json || { echo "run \`make demo\` first: its data and detector are used" >&2; exit 2; }
	$(PY) tools/extract_crops.py $(DEMO)/data/train.json --channels red green blue yellow mask \
		--size 128 --out $(DEMO)/data/train_crops --workers 2 --overwrite
	$(PY) tools/train.py $(CROPS) --data-root $(DEMO)/data --work-dir $(DEMO)/crops/train --seed $(SEED)
	$(PY) tools/segment.py $(DEMO)/data/test --out $(DEMO)/crops/masks --workers 2 --overwrite
	$(PY) tools/infer.py $(CROPS) $(DEMO)/crops/train/fitted.pth $(DEMO)/data/test \
		--instances masks --masks $(DEMO)/crops/masks --out $(DEMO)/crops/prediction --overwrite
	$(PY) tools/infer.py $(CONFIG) $(DEMO)/train/fitted.pth $(DEMO)/data/test \
		--instances masks --masks $(DEMO)/crops/masks --out $(DEMO)/crops/detector --overwrite
	$(PY) tools/ensemble.py $(DEMO)/crops/prediction $(DEMO)/crops/detector \
		--out $(DEMO)/crops/both.csv --overwrite
	$(PY) tools/evaluate.py $(DEMO)/crops/prediction/submission.csv \
		$(DEMO)/data/truth/test/cells.json --json $(DEMO)/crops/scores.json --overwrite
	$(PY) tools/evaluate.py $(DEMO)/crops/detector/submission.csv \
		$(DEMO)/data/truth/test/cells.json --json $(DEMO)/crops/scores_detector.json --overwrite
	$(PY) tools/evaluate.py $(DEMO)/crops/both.csv \
		$(DEMO)/data/truth/test/cells.json --json $(DEMO)/crops/scores_both.json --overwrite
	$(PY) tools/explain.py $(CROPS) $(DEMO)/crops/train/fitted.pth $(DEMO)/data/train_crops \
		--out $(DEMO)/crops/explained
	$(PY) tools/report.py $(DEMO)/train --title "hpa-mmdet demo on synthetic cells" \
		--images $(DEMO)/data/test --truth $(DEMO)/data/truth/test/cells.json \
		--submission $(DEMO)/submission.csv --evaluation $(DEMO)/scores.json \
		--mark "given masks=$(DEMO)/scores_given_masks.json" \
		--mark "detector, segmenter's masks=$(DEMO)/crops/scores_detector.json" \
		--mark "crops, segmenter's masks=$(DEMO)/crops/scores.json" \
		--mark "both, segmenter's masks=$(DEMO)/crops/scores_both.json" \
		--facts $(DEMO)/facts.json --out $(DEMO)/report.html --overwrite

test-web: install ## test the web page in Chromium, installed by apt-get where that is allowed
	@browser="$$(command -v chromium || command -v chromium-browser || command -v google-chrome)"; \
	if [ -z "$$browser" ] && [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "Installing Chromium (apt-get)."; \
		apt-get update -qq && apt-get install -y -qq --no-install-recommends chromium >/dev/null; \
		browser="$$(command -v chromium)"; fi; \
	if [ -z "$$browser" ]; then \
		echo "No Chromium found: install it (Debian: apt-get install chromium) and try again." >&2; \
		exit 2; fi; \
	HPA_MMDET_BROWSER="$$browser" OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q tests/web

screenshots: install ## the pictures of the web page in docs/images, from synthetic images
	@browser="$$(command -v chromium || command -v chromium-browser || command -v google-chrome)"; \
	HPA_MMDET_BROWSER="$$browser" $(PY) benchmarks/screenshots.py --out docs/images

test: install ## run the tests on two cores
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -n 2

FUZZ_SECONDS := 600
fuzz: install ## damage files at random, FUZZ_SECONDS for each kind
	HPA_FUZZ_SECONDS=$(FUZZ_SECONDS) $(BIN)/python -m pytest -q tests/fuzz

mutants: install ## change the code in small ways, see whether the tests notice (long)
	$(BIN)/python benchmarks/mutants.py masks segment scoring io --sample 100

check: install ## lint, formatting, types, import rules, spelling
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

real-contest: real-data ## DATA=folder: the contest's images: segment, convert, train a little, predict
	$(PY) tools/segment.py $(DATA)/hpa_contest/train --out $(REAL)/contest/masks --overwrite
	$(PY) tools/compare_masks.py $(REAL)/contest/masks $(DATA)/hpa_contest/masks || test $$? -eq 1
	$(PY) tools/convert_coco.py $(DATA)/hpa_contest/train --masks $(REAL)/contest/masks \
		--labels $(DATA)/hpa_contest/train.csv --out $(REAL)/contest/train.json --overwrite
	$(PY) tools/convert_coco.py --masks $(DATA)/hpa_contest/masks \
		--labels $(DATA)/hpa_contest/train.csv --out $(REAL)/contest/segmenter.json --overwrite
	$(PY) tools/train.py $(CONFIGS)/hpa-mask-rcnn_lite0_fpn_bag-lse_hpa-cpu.py \
		--data-root $(REAL)/contest --work-dir $(REAL)/contest/train_log --cfg-options \
		train_dataloader.dataset.data_prefix.img=$(DATA)/hpa_contest/train \
		train_cfg.fit.dataloader.dataset.data_prefix.img=$(DATA)/hpa_contest/train \
		train_cfg.fit.more_dataloaders.0.dataset.data_prefix.img=$(DATA)/hpa_contest/train \
		train_cfg.max_epochs=20 param_scheduler.1.T_max=20
	$(PY) tools/infer.py $(CONFIGS)/hpa-mask-rcnn_lite0_fpn_bag-lse_hpa-cpu.py \
		$(REAL)/contest/train_log/fitted.pth $(DATA)/hpa_contest/train \
		--out $(REAL)/contest/prediction --write submission,table,coco,overlays --overwrite

real-truth: real-data ## DATA=folder: every cell given its image's labels, scored against per-cell truth
	$(PY) tools/convert_coco.py --masks $(DATA)/hpa_manual/segmenter \
		--labels $(DATA)/hpa_manual/images.csv --out $(REAL)/truth/inherited.json --overwrite
	$(PY) tools/convert_coco.py --masks $(DATA)/hpa_manual/truth --labels $(DATA)/hpa_manual/images.csv \
		--cell-labels $(DATA)/hpa_manual/cells.csv --out $(REAL)/truth/truth.json --overwrite
	for confidence in one share; do $(PY) tools/coco_to_submission.py $(REAL)/truth/inherited.json \
		--confidence $$confidence --out $(REAL)/truth/inherited_$$confidence.csv --overwrite && \
		$(PY) tools/evaluate.py $(REAL)/truth/inherited_$$confidence.csv $(REAL)/truth/truth.json \
		--json $(REAL)/truth/inherited_$$confidence.json --overwrite || exit 1; done

real-cells: real-data ## DATA=folder: real cells with a label of each, some left out in turn
	$(PY) benchmarks/bench_real_cells.py --data $(DATA)/hpa_cells --work-dir $(REAL)/cells --workers 2

real-nuclei: real-data ## DATA=folder: train on 7 hand-drawn pictures of nuclei, score on 3 held out
	mkdir -p $(REAL)/nuclei/train $(REAL)/nuclei/test $(REAL)/nuclei/masks_train $(REAL)/nuclei/masks_test
	cp $(DATA)/coelho2009/ic100/images/dna-[0-6].png $(REAL)/nuclei/train
	cp $(DATA)/coelho2009/ic100/images/dna-[7-9].png $(REAL)/nuclei/test
	cp $(DATA)/coelho2009/ic100/labels/dna-[0-6].png $(REAL)/nuclei/masks_train
	cp $(DATA)/coelho2009/ic100/labels/dna-[7-9].png $(REAL)/nuclei/masks_test
	for part in train test; do $(PY) tools/convert_coco.py $(REAL)/nuclei/$$part --pattern '{id}.png' \
		--channels blue --masks $(REAL)/nuclei/masks_$$part --default-labels 0 \
		--out $(REAL)/nuclei/$$part.json --overwrite || exit 1; done
	$(PY) tools/train.py $(CONFIGS)/hpa-mask-rcnn_lite0_fpn_nuclei-cpu.py \
		--data-root $(REAL)/nuclei --work-dir $(REAL)/nuclei/train_log
	$(PY) tools/infer.py $(CONFIGS)/hpa-mask-rcnn_lite0_fpn_nuclei-cpu.py \
		$(REAL)/nuclei/train_log/fitted.pth $(REAL)/nuclei/test --pattern '{id}.png' \
		--channels blue --out $(REAL)/nuclei/prediction --write submission,coco,overlays --overwrite
	$(PY) tools/evaluate.py $(REAL)/nuclei/prediction/submission.csv $(REAL)/nuclei/test.json \
		--cells $(REAL)/nuclei/prediction/cells.json --json $(REAL)/nuclei/scores.json --overwrite

real-dictionary: real-data ## DATA=folder: a gallery of images with one label each
	$(PY) tools/segment.py $(DATA)/hpa_dictionary/images --pattern '{id}.jpg' \
		--channels red green blue --out $(REAL)/dictionary/masks --overwrite
	$(PY) tools/convert_coco.py $(DATA)/hpa_dictionary/images --pattern '{id}.jpg' \
		--channels red green blue --masks $(REAL)/dictionary/masks --label-scheme hpa28 \
		--labels $(DATA)/hpa_dictionary/labels_2018.csv --out $(REAL)/dictionary/images.json --overwrite
	$(PY) tools/browse.py $(REAL)/dictionary/images.json --out $(REAL)/dictionary/gallery.html --overwrite

.PHONY: real-data
real-data: install
	@test -d "$(DATA)" || { echo "give the folder of real data: make real-... DATA=folder" >&2; exit 2; }

constraints: install ## write into constraints.txt what .venv holds; pins of what it lacks stay
	@grep '^#' constraints.txt > constraints.new
	@{ $(BIN)/python -m pip freeze --all --exclude-editable --exclude pip --exclude opencv-python; \
		grep -v '^#' constraints.txt; } | grep -viE '^(nvidia-|cuda-|triton)' \
		| awk -F== '!seen[tolower($$1)]++' | LC_ALL=C sort -f >> constraints.new
	mv constraints.new constraints.txt
	@touch $(STAMP)

clean: ## remove .venv and caches; what is in work_dirs stays
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find hpa_mmdet tests tools configs -name __pycache__ -type d -prune -exec rm -rf {} +
