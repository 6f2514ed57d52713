"Package metadata comes from settings.ini: edit there, not here."
import shlex
from configparser import ConfigParser
from pathlib import Path
import setuptools
from setuptools.command.build_py import build_py

class WithChapters(build_py):
    "The numbered notebooks and what they read, for `clip_lab course` and `clip_lab check`, go into the package"
    def chapters(self):
        nbs = Path(__file__).parent/'nbs'
        files = [*nbs.glob('[0-9][0-9]_*.ipynb'), *(f for f in (nbs/'results').rglob('*') if f.is_file())]
        return {f: Path(self.build_lib)/'clip_lab'/'course'/f.relative_to(nbs) for f in sorted(files)}
    def run(self):
        super().run()
        if self.editable_mode: return    # a clone has them where they are
        for source,place in self.chapters().items():
            self.mkpath(str(place.parent))
            self.copy_file(str(source), str(place))
    def get_outputs(self, include_bytecode=1):
        return super().get_outputs(include_bytecode) + list(map(str, self.chapters().values()))

cfg_parser = ConfigParser(delimiters=['='])
cfg_parser.read(Path(__file__).parent/'settings.ini', encoding='utf-8')
cfg = cfg_parser['DEFAULT']
readme = Path(__file__).parent/'README.md'

setuptools.setup(
    name=cfg['lib_name'], version=cfg['version'], description=cfg['description'],
    keywords=cfg['keywords'], author=cfg['author'], author_email=cfg['author_email'],
    url=cfg['git_url'], license='Apache-2.0',
    packages=setuptools.find_packages(include=['clip_lab*']), include_package_data=True, package_data={'clip_lab': ['*.mplstyle', '*/*.css', '*/*.js', '*/*.json', '*/*.md']},
    cmdclass={'build_py': WithChapters},
    install_requires=shlex.split(cfg.get('requirements','')),
    extras_require={extra: shlex.split(cfg.get(f'{extra}_requirements','')) for extra in ('dev', 'demo', 'search', 'formats', 'bench', 'report', 'course', 'encoders')},
    python_requires='>='+cfg['min_python'],
    long_description=readme.read_text(encoding='utf-8') if readme.exists() else '',
    long_description_content_type='text/markdown', zip_safe=False,
    entry_points={
        'console_scripts': shlex.split(cfg['console_scripts']),
        'nbdev': [f"{cfg['lib_name']}={cfg['lib_path']}._modidx:d"]},
)
